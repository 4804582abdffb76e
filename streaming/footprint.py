"""What the worker does without, so that it stays small and its event loop is never held up."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Final

_UNWANTED: Final = "pandas"


class _Refusal(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        if name == _UNWANTED:
            raise ModuleNotFoundError(f"this process does without {name}", name=name)


def keep_pandas_out() -> None:
    """Refuse to import pandas from now on, as if it were not installed; call once, at the start.

    DuckDB and pyarrow import it where it is installed, only to ask whether what they are given is
    a data frame: a second of CPU time and 70 MB. Both do without it where it is not.

    Raises:
        RuntimeError: it is imported already.
    """
    if _UNWANTED in sys.modules:
        raise RuntimeError(f"{_UNWANTED} is imported already: call this first")
    sys.meta_path.insert(0, _Refusal())


def freeze_startup() -> None:
    """Exempt all that lives now from collection; call once, before capture starts.

    The modules of this program are some 100,000 objects that live as long as the process, and
    looking through them takes longer than a busy socket should wait. What capture makes itself is
    small: trades are packed bytes.
    """
    gc.collect()
    gc.freeze()
