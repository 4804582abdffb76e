"""Keep the garbage collector from stalling the event loop."""

from __future__ import annotations

import gc


def freeze_startup() -> None:
    """Exempt all that lives now from collection; call once, before capture starts.

    The modules of this program are some 100,000 objects that live as long as the process, and
    looking through them takes longer than a busy socket should wait. What capture makes itself is
    small: trades are packed bytes.
    """
    gc.collect()
    gc.freeze()
