"""MATLAB's ``.mat`` files, looked through before SciPy reads them.

SciPy trusts the types and sizes that it finds: a damaged file can crash the whole process or fill
its memory. The format is that of *MAT-File Format* (The MathWorks, R2024a), level 5.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sss.errors import InputError

MOST_BYTES = 2**30
"""Of a file's arrays, unpacked, by default: 2 megapixels in 64 dimensions of double precision."""

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 12, 13))
_TEXTS = _NUMBERS | {16, 17, 18}
_CELL, _STRUCT, _CHAR, _SPARSE = 1, 2, 4, 5
_NUMERIC_CLASSES = range(6, 16)
_MOST_LEVELS = 20


class _DamagedError(ValueError):
    """Caught below; never seen by callers."""


class _Element(NamedTuple):
    kind: int
    body: memoryview


def load_matlab(path: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """Read the variables of a ``.mat`` file of level 5 (MATLAB's versions 5 to 7).

    Variables that are neither numbers, text, cells nor structures of these are left out: sparse
    matrices, objects, functions.

    Args:
        path: The file.
        most: Bytes of all arrays, unpacked.

    Returns:
        Arrays by name, as :func:`scipy.io.loadmat` gives them.

    Raises:
        InputError: The file cannot be read, is damaged, of another level or unpacks to more
            than ``most``.
    """
    from scipy.io import loadmat

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    version = data[124:128]
    if version in (b"\x00\x02IM", b"\x02\x00MI"):
        raise InputError(f"{path} is of MATLAB's version 7.3; save it with '-v7'")
    if version not in (b"\x00\x01IM", b"\x01\x00MI"):
        raise InputError(f"{path} is not a MATLAB file of version 5 to 7; save it with '-v7'")
    order = "little" if version.endswith(b"IM") else "big"
    try:
        kept = _usable_variables(memoryview(data)[_HEADER:], order, most)
        whole = io.BytesIO(b"".join([data[:_HEADER], *kept]))
        content = loadmat(whole)
    except MemoryError:
        raise InputError(f"{path} does not fit into memory; store fewer numbers") from None
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    except Exception as error:  # what SciPy raises depends on where a file is damaged
        raise InputError(f"{path} is damaged or cut off; save or fetch it anew") from error
    return {name: value for name, value in content.items() if not name.startswith("__")}


def _usable_variables(content: memoryview, order: Any, most: int) -> Iterator[bytes]:
    """The top elements, unpacked, that SciPy reads without harm."""
    left = most
    for element in _elements(content, order, padded=False):
        if element.kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(element.body, left + 1)
            if len(unpacked) > left:
                raise InputError(f"unpacks to more than {most >> 20} MiB; store less in it")
            (element,) = _elements(memoryview(unpacked), order)
        left -= len(element.body)
        if left < 0:
            raise InputError(f"holds more than {most >> 20} MiB; store less in it")
        if element.kind == _MATRIX and _is_usable(element.body, order):
            yield _MATRIX.to_bytes(4, order) + len(element.body).to_bytes(4, order) + element.body


def _elements(content: memoryview, order: Any, padded: bool = True) -> Iterator[_Element]:
    """The elements that follow one another; all but a file's own are padded to eight bytes."""
    at = 0
    while at < len(content):
        first = int.from_bytes(content[at : at + 4], order)
        if first >> 16:  # short: four bytes of content in place of the size
            kind, size, start, end = first & 0xFFFF, first >> 16, at + 4, at + 8
            if size > 4:
                raise _DamagedError
        else:
            kind, size, start = first, int.from_bytes(content[at + 4 : at + 8], order), at + 8
            end = start + size
            end += -size % 8 if padded or kind != _COMPRESSED else 0
        if start + size > len(content):
            raise _DamagedError
        yield _Element(kind, content[start : start + size])
        at = end


def _is_usable(body: memoryview, order: Any, level: int = 0) -> bool:
    """Whether SciPy can read a matrix.

    Raises:
        _DamagedError: It does not say what it holds.
    """
    if not len(body):
        return True  # an empty one within a cell
    flags, *parts = _elements(body, order)
    if flags.kind != 6 or len(flags.body) != 8 or level > _MOST_LEVELS:
        raise _DamagedError
    array_class = int.from_bytes(flags.body[:4], order) & 0xFF
    if array_class not in (_CELL, _STRUCT, _CHAR, *_NUMERIC_CLASSES):
        return False
    if len(parts) < 2 or parts[0].kind != 5 or parts[1].kind != 1 or len(parts[0].body) % 4:
        raise _DamagedError
    sizes = np.frombuffer(parts[0].body, "<i4" if order == "little" else ">i4")
    if len(sizes) < 2 or (sizes < 0).any():
        raise _DamagedError
    count, inner = math.prod(sizes.tolist()), parts[2:]
    if array_class == _STRUCT:
        if [part.kind for part in inner[:2]] != [5, 1]:
            raise _DamagedError
        length = int.from_bytes(inner[0].body, order)
        if not 0 < length <= 2**16 or len(inner[1].body) % length:
            raise _DamagedError
        count *= len(inner[1].body) // length
        inner = inner[2:]
    if array_class in (_CELL, _STRUCT):
        if len(inner) != count or any(part.kind != _MATRIX for part in inner):
            raise _DamagedError
        return all(_is_usable(part.body, order, level + 1) for part in inner)
    known = _TEXTS if array_class == _CHAR else _NUMBERS
    if len(inner) not in (1, 2) or any(part.kind not in known for part in inner):
        raise _DamagedError
    return True
