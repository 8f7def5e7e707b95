"""Photoshop files, by psd-tools.

Adobe, *Photoshop File Formats Specification*: layers from the bottom to the top, each cropped to
where it is; and the merged picture, which is all that viewers and file managers read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from psd_tools.constants import ChannelID, Compression, Resource, Tag
from psd_tools.psd import PSD
from psd_tools.psd.header import FileHeader
from psd_tools.psd.image_data import ImageData
from psd_tools.psd.image_resources import ImageResource, ImageResources
from psd_tools.psd.layer_and_mask import (
    ChannelData,
    ChannelDataList,
    ChannelImageData,
    ChannelInfo,
    GlobalLayerMaskInfo,
    LayerAndMaskInformation,
    LayerInfo,
    LayerRecord,
    LayerRecords,
)
from psd_tools.psd.tagged_blocks import TaggedBlocks

from sss.errors import InputError
from sss.layers.formats.names import layer_names
from sss.layers.formats.over import bounding_box, merged, over_layers
from sss.layers.stack import Stack

LONGEST_SIDE = 30_000
"""Pixels; the specification's limit."""

_MOST_BYTES = 2**31
_CHANNELS = (
    ChannelID.TRANSPARENCY_MASK,
    ChannelID.CHANNEL_0,
    ChannelID.CHANNEL_1,
    ChannelID.CHANNEL_2,
)


def write_psd(path: Path, stack: Stack, bits: int) -> None:
    """Write a PSD of 8 or 16 bits.

    Layers of 16 bits stand in the block ``Lr16``, as Photoshop writes them. Where the picture is
    transparent, the merged one is blended with white, as Photoshop does.

    Raises:
        InputError: The picture is too large for the format.
    """
    height, width = stack.size
    if max(height, width) > LONGEST_SIDE:
        raise InputError(
            f"PSD files hold up to {LONGEST_SIDE} pixels a side, not {width} × {height}; "
            "write ora, tiff or exr, or make the photo smaller (--max-side)"
        )
    header = FileHeader(
        channels=3 if stack.is_opaque else 4, height=height, width=width, depth=bits
    )
    document = PSD(
        header=header,
        image_resources=_resources(stack.profile),
        layer_and_mask_information=_layers(stack, bits),
        image_data=_merged(stack, header),
    )
    with path.open("wb") as file:
        document.write(file)


def _resources(profile: bytes | None) -> ImageResources:
    resources = ImageResources.new()
    if profile is not None:
        key = Resource.ICC_PROFILE
        resources[key] = ImageResource(key=key, data=profile)
    return resources


def _layers(stack: Stack, bits: int) -> LayerAndMaskInformation:
    records, channels = LayerRecords(), ChannelImageData()
    size = 0
    names = layer_names(stack.names)
    for name, layer in zip(names, over_layers(stack, bits), strict=True):
        box = bounding_box(layer[..., 3])
        cropped = layer[box.top : box.bottom, box.left : box.right]
        planes = ChannelDataList()
        for c in (3, 0, 1, 2):
            planes.append(_channel(cropped[..., c], bits))
        size += sum(len(plane.data) for plane in planes)
        records.append(
            LayerRecord(
                *box,
                channel_info=[ChannelInfo(id=channel) for channel in _CHANNELS],
                name=name.encode("mac_roman", "replace").decode("mac_roman"),
                tagged_blocks=_unicode_name(name),
            )
        )
        channels.append(planes)
    if size > _MOST_BYTES:
        raise InputError(
            f"the layers take {size / 2**30:.1f} GiB, and PSD files hold 2; write tiff or exr, or "
            "make the photo smaller (--max-side)"
        )
    count = len(records) if stack.is_opaque else -len(records)  # the sign says: transparent
    contents = (count, records, channels)
    blocks = TaggedBlocks()
    if bits == 8:
        return LayerAndMaskInformation(LayerInfo(*contents), GlobalLayerMaskInfo(), blocks)
    blocks.set_data(Tag.LAYER_16, *contents)
    return LayerAndMaskInformation(LayerInfo(), GlobalLayerMaskInfo(), blocks)


def _channel(plane: np.ndarray, bits: int) -> ChannelData:
    """An (h, w) plane, compressed as Photoshop does: run lengths say nothing of 16 bits."""
    height, width = plane.shape
    kind = Compression.RLE if bits == 8 else Compression.ZIP_WITH_PREDICTION
    data = ChannelData(compression=kind)
    data.set_data(_big_endian(plane), width, height, bits)
    return data


def _merged(stack: Stack, header: FileHeader) -> ImageData:
    picture = merged(stack, header.depth)
    if not stack.is_opaque:
        full = np.float32(np.iinfo(picture.dtype).max)
        over_white = (picture[..., :3] - full) * (picture[..., 3:] / full) + full
        picture[..., :3] = np.rint(over_white)
    data = ImageData(compression=Compression.RLE)
    data.set_data([_big_endian(picture[..., c]) for c in range(header.channels)], header)
    return data


def _unicode_name(name: str) -> TaggedBlocks:
    blocks = TaggedBlocks()
    blocks.set_data(Tag.UNICODE_LAYER_NAME, name)
    return blocks


def _big_endian(plane: np.ndarray) -> bytes:
    return plane.astype(plane.dtype.newbyteorder(">")).tobytes()
