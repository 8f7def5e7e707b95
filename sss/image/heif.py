"""HEIF, which phones write as HEIC."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from sss.image.colour import Space, profile_of_code_points
from sss.image.picture import Picture, finished, over_white


def is_heif(data: bytes) -> bool:
    """Whether the brands are those of HEIF, and not of AVIF, which is built alike."""
    if data[4:8] != b"ftyp":
        return False
    brands = data[8 : int.from_bytes(data[:4], "big")]
    return not brands.startswith((b"avif", b"avis")) and any(
        brand in brands for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
    )


def decode_heif(data: bytes, check_size: Callable[[int, int], None]) -> Picture:
    """Decode the primary picture.

    Args:
        data: The whole file.
        check_size: See :func:`sss.image.decoding.decode`.

    Raises:
        UnusableError: From ``check_size``.
        Exception: Whatever the decoder raises on damaged data.
    """
    import pillow_heif

    # Ten bits and more come as 16. The decoder turns pictures upright; EXIF says it once more.
    heif = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    check_size(*heif.size)
    pixels = np.array(heif)  # a copy, since the memory is the decoder's
    samples = pixels.reshape(*pixels.shape[:2], -1)[:, : heif.size[0]]  # rows may be padded
    spaces: dict[int, Space] = {1: "GRAY", 2: "GRAY", 3: "RGB", 4: "RGB"}

    def find_profile() -> bytes | None:
        if profile := heif.info.get("icc_profile"):
            return bytes(profile)
        if points := heif.info.get("nclx_profile"):
            return profile_of_code_points(
                int(points["color_primaries"]), int(points["transfer_characteristics"])
            )
        return None

    return finished(
        over_white(samples, spaces[samples.shape[2]], "a" in heif.mode), 1, find_profile
    )
