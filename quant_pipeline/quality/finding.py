"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        passed: whether what was looked at is as it should be. Where there is nothing to look at,
            nothing is wrong: it passes and says so.
        description: what was found, in plain words.
        metadata: finite numbers by name, which the UI plots over time.
        severe: whether what reads the checked table would be told something false.
    """

    passed: bool
    description: str
    metadata: Mapping[str, float | int] = field(default_factory=dict)
    severe: bool = False
