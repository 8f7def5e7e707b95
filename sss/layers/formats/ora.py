"""OpenRaster: a ZIP of PNGs and of a list that says how they lie on one another.

https://www.openraster.org, of version 0.0.5.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

import cv2
import imagecodecs
import numpy as np

from sss.layers.formats.names import layer_names
from sss.layers.formats.over import bounding_box, merged, over_layers
from sss.layers.stack import Stack

THUMBNAIL_SIDE = 256
"""Pixels of the longer side, at most."""

_VERSION = "0.0.5"
_TIME = (1980, 1, 1, 0, 0, 0)  # two results are equal
_HEADER_END = 33  # of a PNG: its signature and IHDR


def write_ora(path: Path, stack: Stack, bits: int) -> None:
    """Write an OpenRaster file whose PNGs have 8 or 16 bits and the photo's profile."""
    height, width = stack.size
    image = ElementTree.Element("image", version=_VERSION, w=str(width), h=str(height))
    listed = ElementTree.SubElement(image, "stack")
    with zipfile.ZipFile(path, "w") as archive:
        _add(archive, "mimetype", b"image/openraster")  # first, so that the file's type is seen
        names = layer_names(stack.names)
        for k, layer in enumerate(over_layers(stack, bits)):
            box = bounding_box(layer[..., 3])
            source = f"data/layer{k}.png"
            cropped = layer[box.top : box.bottom, box.left : box.right]
            _add(archive, source, _png(cropped, stack.profile))
            entry = {"name": names[k], "src": source, "x": str(box.left), "y": str(box.top)}
            entry |= {"opacity": "1.0", "visibility": "visible", "composite-op": "svg:src-over"}
            listed.insert(0, ElementTree.Element("layer", entry))  # the topmost comes first
        picture = merged(stack, bits)
        _add(archive, "mergedimage.png", _png(picture, stack.profile))
        _add(archive, "Thumbnails/thumbnail.png", _png(_thumbnail(stack), stack.profile))
        xml = ElementTree.tostring(image, encoding="UTF-8", xml_declaration=True)
        _add(archive, "stack.xml", xml, zipfile.ZIP_DEFLATED)


def _add(
    archive: zipfile.ZipFile, name: str, data: bytes, compression: int = zipfile.ZIP_STORED
) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = compression
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _thumbnail(stack: Stack) -> np.ndarray:
    """(h, w, 4) uint8, of at most ``THUMBNAIL_SIDE`` pixels a side."""
    height, width = stack.size
    scale = min(1.0, THUMBNAIL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(stack.composite(), size, interpolation=cv2.INTER_AREA)
    return merged(Stack(small[None], ("merged",)), 8)


def _png(pixels: np.ndarray, profile: bytes | None) -> bytes:
    """(h, w, 4) uint8 or uint16 as a PNG that carries a profile."""
    data = bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=6))
    if profile is None:
        return data
    body = b"iCCP" + b"ICC profile\0\0" + zlib.compress(profile)
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return data[:_HEADER_END] + chunk + data[_HEADER_END:]
