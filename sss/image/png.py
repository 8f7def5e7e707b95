"""What a PNG file says of its colours, and the file without what no decoder needs.

Pillow refuses whole files for the length of a text or a profile that says nothing about pixels.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_FOR_DECODING = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf"))
_FOR_COLOURS = frozenset((b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP"))
_TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt"))
_TURNING_TEXTS = (b"XML:com.adobe.xmp", b"Raw profile type exif")  # may hold an orientation
_TEXT_BYTES = 1 << 20
_PROFILE_BYTES = 1 << 24  # four times the largest profiles of printers


class Png(NamedTuple):
    """The parts of a PNG file.

    Attributes:
        data: The file with pixels and orientation only, and no frames after the first.
        colours: Bodies of the chunks iCCP, sRGB, gAMA, cHRM and cICP that it has, by name.
    """

    data: bytes
    colours: dict[bytes, bytes]


def parse_png(data: bytes) -> Png:
    """Sort out a file's chunks; one that is cut off stays so.

    Args:
        data: A file that starts with ``SIGNATURE``.
    """
    view = memoryview(data)
    kept: list[memoryview | bytes] = [SIGNATURE]
    colours: dict[bytes, bytes] = {}
    text_bytes = 0
    start = len(SIGNATURE)
    while start < len(view):
        name = bytes(view[start + 4 : start + 8])
        end = start + 12 + int.from_bytes(view[start : start + 4], "big")
        chunk = view[start:end]
        if name in _FOR_COLOURS:
            colours.setdefault(name, bytes(chunk[8:-4]))
        elif name in _TEXTS:
            if chunk[8:-4].tobytes().startswith(_TURNING_TEXTS):
                text_bytes += _text_bytes(name, chunk)
                if text_bytes <= _TEXT_BYTES:
                    kept.append(chunk)
        elif name in _FOR_DECODING or not name[:1].islower():  # capitals are no decoder's to skip
            kept.append(chunk)
        if name == b"IEND":
            break
        start = end
    return Png(b"".join(kept), colours)


def profile_of_iccp(body: bytes) -> bytes | None:
    """The ICC profile in an iCCP chunk; None if it is damaged or unreasonably large."""
    _, _, rest = body.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], _PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if inflater.eof else None


def _text_bytes(name: bytes, chunk: memoryview) -> int:
    """How long a text is once unpacked, or more than allowed."""
    _, _, rest = chunk[8:-4].tobytes().partition(b"\0")
    if name == b"zTXt":
        packed = rest[1:]
    elif name == b"iTXt" and rest[:1] == b"\1":
        packed = rest[2:].split(b"\0", 2)[-1]
    else:
        return len(rest)
    try:
        return len(zlib.decompressobj().decompress(packed, _TEXT_BYTES + 1))
    except zlib.error:
        return _TEXT_BYTES + 1
