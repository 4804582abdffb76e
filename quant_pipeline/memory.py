"""Memory that was freed, given back."""

from __future__ import annotations

import ctypes
import sys


def return_freed() -> None:
    """Give freed memory back to the system; does nothing where the C library has no call for it.

    glibc keeps what large arrays have freed for the next ones, which other allocators of the
    process (V8, polars) cannot use: 25 MB after the statistics of a one-second pair-day.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
