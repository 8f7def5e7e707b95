"""OpenEXR files with a part for each layer, by the OpenEXR package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR

from sss.layers.formats.linear import linear_layers
from sss.layers.formats.names import layer_names
from sss.layers.stack import Stack

_BT709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)


def write_exr(path: Path, stack: Stack, bits: int) -> None:
    """Write a part for each layer: RGBA in half floats, linear light, premultiplied.

    The first part is the bottom of the stack, each further one lies on those before. Parts have
    different names. Colours are amounts of Rec. 709's primaries, whatever the photo's profile;
    those outside sRGB have negative ones.

    Args:
        path: The file.
        stack: Layers that add up.
        bits: Of no effect: samples are half floats.
    """
    header = {
        "type": OpenEXR.scanlineimage,
        "compression": OpenEXR.ZIP_COMPRESSION,
        "chromaticities": _BT709,
    }
    parts = [
        OpenEXR.Part(dict(header), {"RGBA": np.ascontiguousarray(layer)}, name=name)
        for name, layer in zip(
            layer_names(stack.names, unique=True), linear_layers(stack), strict=True
        )
    ]
    try:
        OpenEXR.File(parts).write(str(path))
    except RuntimeError as error:  # as the package says that a disk is full
        raise OSError(str(error)) from error
