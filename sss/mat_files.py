"""MATLAB's files, looked at before SciPy unpacks them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import IO

from sss.errors import InputError

_HEADER = 128
_COMPRESSED = 15
_CHUNK = 1 << 16


def check_unpacked_size(path: Path, most: int) -> None:
    """Refuse a file of MATLAB's version 5 whose compressed parts unpack to too much.

    Nothing is kept of what is unpacked here, a small piece at a time. Files of other versions are
    not looked into: they hold no compressed parts, or SciPy does not read them.

    Args:
        path: The file.
        most: Bytes that all its parts may have together.

    Raises:
        InputError: They have more.
        OSError: It cannot be read.
        zlib.error: A part is damaged.
    """
    with path.open("rb") as file:
        order = {b"IM": "<", b"MI": ">"}.get(file.read(_HEADER)[126:])
        unpacked = 0
        while order and len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            if kind == _COMPRESSED:
                unpacked += _unpacked_size(file, size, most - unpacked)
            else:
                file.seek(size, 1)
            if unpacked > most:
                raise InputError(
                    f"{path} unpacks to more than {most >> 20} MiB, far beyond what it should "
                    "hold; save it anew"
                )


def _unpacked_size(file: IO[bytes], size: int, most: int) -> int:
    """Bytes that the next ``size`` ones unpack to; stops soon after ``most``."""
    unpacker = zlib.decompressobj()
    unpacked = 0
    while size > 0 and unpacked <= most and (packed := file.read(min(size, _CHUNK))):
        size -= len(packed)
        while packed and unpacked <= most:
            unpacked += len(unpacker.decompress(packed, _CHUNK * 16))
            packed = unpacker.unconsumed_tail
    return unpacked
