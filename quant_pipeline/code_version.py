"""Which code computed a number: recorded with every published statistic."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import version

from quant_pipeline.settings import ROOT


@cache
def code_version() -> str:
    """The package's version and, in a git checkout, the revision: `0.1.0+1a2b3c4`.

    `.modified` follows where tracked files differ from that revision.
    """
    release = version("quant-pipeline")
    revision = _git("rev-parse", "--short=7", "HEAD")
    if not revision:
        return release
    modified = ".modified" if _git("status", "--porcelain", "--untracked-files=no") else ""
    return f"{release}+{revision}{modified}"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
