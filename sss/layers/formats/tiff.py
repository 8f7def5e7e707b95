"""TIFF files with a page for each layer, by tifffile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from sss.layers.formats.names import layer_names
from sss.layers.formats.over import merged, over_layers
from sss.layers.stack import Stack

MERGED_NAME = "merged"
"""Of the page with the whole picture."""

_PAGE_NAME = 285
_BIG = 2**32 - 2**26
"""Bytes of pixels from which a file may outgrow the offsets of a plain TIFF."""


def write_tiff(path: Path, stack: Stack, bits: int) -> None:
    """Write RGBA pages of 8 or 16 bits, alpha not multiplied in, each with its layer's name.

    GIMP and ImageMagick lay each page on those before, so the bottom layer comes first. Before it
    there is the whole picture, since that is the one page that viewers show; the opaque bottom
    layer hides it, so the stack is what it was. A picture with transparency would show through,
    and is left out. GIMP composites pages in linear light unless told otherwise, see
    ``docs/files.md``.
    """
    height, width = stack.size
    size = (len(stack) + 1) * height * width * bits // 2  # bytes of four samples a pixel
    with tifffile.TiffWriter(path, bigtiff=size > _BIG) as file:
        if stack.is_opaque:
            _write_page(file, merged(stack, bits), MERGED_NAME, stack.profile)
        for name, layer in zip(layer_names(stack.names), over_layers(stack, bits), strict=True):
            _write_page(file, layer, name, stack.profile)


def _write_page(
    file: tifffile.TiffWriter, pixels: np.ndarray, name: str, profile: bytes | None
) -> None:
    file.write(
        pixels,
        photometric="rgb",
        extrasamples=["unassalpha"],
        compression="adobe_deflate",
        predictor=True,
        metadata=None,
        software=False,
        iccprofile=profile,
        extratags=[(_PAGE_NAME, "s", 0, name.encode() + b"\0", True)],
    )
