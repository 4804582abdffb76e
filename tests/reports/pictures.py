"""Reading screenshots: PNG to brightness, and how alike two pictures are."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

BLOCK = 12
"""Side of the squares, in pixels, whose mean ink is compared: fonts differ between machines."""


def brightness(png: bytes) -> npt.NDArray[np.float64]:
    """Grey values from 0 to 1 of an 8-bit RGB or RGBA PNG that is not interlaced."""
    assert png.startswith(b"\x89PNG")
    header, packed, at = b"", b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        header = body if kind == b"IHDR" else header
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    assert (depth, interlaced) == (8, 0)
    channels = {2: 3, 6: 4}[colour]
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * channels)
    lines = np.zeros((height, width * channels), np.uint8)
    above = np.zeros(width * channels, np.uint8)
    for i, row in enumerate(raw):
        above = lines[i] = _unfiltered(int(row[0]), row[1:], above, channels)
    return lines.reshape(height, width, channels)[:, :, :3].mean(axis=2) / 255


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


def _unfiltered(
    kind: int, row: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8], step: int
) -> npt.NDArray[np.uint8]:
    """Undo a PNG line filter."""
    if kind == 0:
        return row.copy()
    if kind == 2:
        return row + above
    if kind == 1:
        pixels = row.reshape(-1, step).astype(np.uint64).cumsum(axis=0)
        return (pixels % 256).astype(np.uint8).ravel()
    line, up = row.tolist(), above.tolist()
    for i in range(len(line)):
        left = line[i - step] if i >= step else 0
        if kind == 3:
            guess = (left + up[i]) // 2
        else:
            corner = up[i - step] if i >= step else 0
            guess = _paeth(left, up[i], corner)
        line[i] = (line[i] + guess) & 255
    return np.array(line, np.uint8)


def _paeth(left: int, above: int, corner: int) -> int:
    estimate = left + above - corner
    return min((left, above, corner), key=lambda value: abs(estimate - value))
