"""Reading screenshots: PNG to brightness, and how alike two pictures are."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

BLOCK = 12
"""Side of the squares, in pixels, whose mean ink is compared: fonts differ between machines."""


def brightness(png: bytes) -> npt.NDArray[np.float64]:
    """Grey values from 0 to 1."""
    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).mean(axis=2) / 255


def alike(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], block: int = BLOCK
) -> float:
    """Correlation of the ink in blocks of both pictures, cut to their common size; 1 is equal."""
    height = min(first.shape[0], second.shape[0]) // block * block
    width = min(first.shape[1], second.shape[1]) // block * block
    ink = []
    for picture in (first, second):
        cut = 1.0 - picture[:height, :width]
        blocks = cut.reshape(height // block, block, width // block, block).mean(axis=(1, 3))
        ink.append(blocks.ravel() - blocks.mean())
    scale = np.sqrt((ink[0] @ ink[0]) * (ink[1] @ ink[1]))
    return float(ink[0] @ ink[1] / scale) if scale > 0 else 0.0
