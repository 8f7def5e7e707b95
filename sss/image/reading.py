"""Finding and reading photos: every common format in, (H, W, 3) float32 sRGB out."""

from __future__ import annotations

import logging
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from sss.errors import InputError, one_line
from sss.image.decoding import decode, picture_of, picture_of_array
from sss.image.picture import Picture, UnusableError, full_value
from sss.image.resize import MIN_SIDE, size_of_side

logger = logging.getLogger(__name__)


class ReadPhoto(NamedTuple):
    """A photo as the rest of the program works on it, and as its file has it.

    Attributes:
        srgb: (H, W, 3) float32 in [0, 1], sRGB, upright.
        stored: The same in the encoding of ``profile``, colours outside sRGB included; None where
            ``srgb`` is.
        profile: ICC profile of the photo, for the files that are made of it. None is sRGB that
            nobody has spoken of.
    """

    srgb: np.ndarray
    stored: np.ndarray | None = None
    profile: bytes | None = None


Photo = str | Path | Image.Image | np.ndarray | ReadPhoto
"""What :func:`as_photo` takes for a photo."""

_JPEG_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp", ".mpo"),
    *(".jpg_large", ".jpg-large"),  # as a social network named its originals
)
PHOTO_SUFFIXES = (
    *_JPEG_SUFFIXES,
    *(".png", ".apng", ".webp", ".avif", ".heic", ".heif", ".hif"),
    *(".tif", ".tiff", ".gif", ".bmp", ".dib"),
)
"""Endings of photos, in lower case."""


def find_photos(paths: Sequence[Path], tell: Callable[[str], object] = logger.info) -> list[Path]:
    """List photos: files as given, folders replaced by the photos directly inside, sorted.

    Hidden files are skipped, and with them unfinished ones (``.partial-…``).

    Args:
        paths: Files and folders.
        tell: Called with one line for each folder of which something is passed over.

    Raises:
        InputError: A path does not exist, or a folder has no photos.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if stat.S_ISDIR(_mode(path)):
            found += _photos_inside(path, tell)
        else:
            found.append(path)
    return found


@dataclass(frozen=True)
class FolderContents:
    """What a folder holds; hidden files do not count.

    Attributes:
        folder: The folder.
        files: Those of the endings asked for, sorted.
        passed_over: How many of each other ending or kind, most frequent first.
    """

    folder: Path
    files: list[Path]
    passed_over: dict[str, int]

    def describe_rest(self) -> str:
        """What is passed over: ``3 .cr2, 1 .txt, 1 dead link, 2 folders``."""
        return ", ".join(
            f"{count} {kind}{'s' if count > 1 and kind in _KINDS else ''}"
            for kind, count in self.passed_over.items()
        )


def list_folder(folder: Path, suffixes: Sequence[str] = PHOTO_SUFFIXES) -> FolderContents:
    """List a folder's files of certain endings, and count all else.

    Args:
        folder: What is directly inside counts.
        suffixes: In lower case, with the dot.

    Raises:
        InputError: The folder cannot be listed.
    """
    files: list[Path] = []
    others: Counter[str] = Counter()
    try:
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith("."):
                continue
            kind = _kind(entry)
            if kind in suffixes:
                files.append(entry)
            else:
                others[kind] += 1
    except OSError as error:
        raise InputError(
            f"cannot list {folder}: {error.strerror or error}; check its permissions"
        ) from error
    return FolderContents(folder, files, dict(others.most_common()))


def read_image(path: Path, max_side: int | None = None) -> np.ndarray:
    """Read a photo, upright and without transparency.

    Colours are converted to sRGB by the profile in the file, or by what else it says of them.
    Transparent pixels are laid over white, of several pages or frames the first is read, and
    16-bit samples keep their precision.

    Args:
        path: A file with one of ``PHOTO_SUFFIXES``; its content decides the format. The suffix
            matters because raw camera files are TIFFs with a mere thumbnail up front.
        max_side: Scale down, with an antialiasing filter, to at most this longer side.

    Returns:
        (H, W, 3) float32 in [0, 1], sRGB.

    Raises:
        InputError: The file is missing, unreadable, damaged, of another kind, or has a side
            below ``MIN_SIDE``; the message is one line.

    Examples:
        >>> import sss
        >>> photo = sss.read_image("docs/examples/coffee.png", max_side=80)
        >>> max(photo.shape), photo.dtype.name
        (80, 'float32')
    """
    return read_photo(path, max_side).srgb


def read_photo(
    path: Path, max_side: int | None = None, most_pixels: int | None = None
) -> ReadPhoto:
    """Read a photo in sRGB and as it is stored; see :func:`read_image`.

    Args:
        path: As for :func:`read_image`.
        max_side: Likewise.
        most_pixels: Photos of more are refused before they are decoded.

    Raises:
        InputError: As :func:`read_image`, or the photo has too many pixels.
    """
    path = Path(path)
    if max_side is not None and max_side < MIN_SIDE:
        raise InputError(
            f"a longer side of {max_side} pixels is too small; give {MIN_SIDE} or more"
        )
    check_size = partial(_check_size, max_side, most_pixels)
    return _to_photo(_decode(path, _bytes_of(path), check_size), max_side)


class RGB8(NamedTuple):
    """A photo as data sets hold it.

    Attributes:
        pixels: (H, W, 3) uint8, sRGB, upright.
        orientation: The EXIF orientation, 1 to 8, by which the stored pixels were turned: what
            belongs to the stored pixels becomes upright by :func:`upright`.
    """

    pixels: np.ndarray
    orientation: int


def read_rgb8(path: Path) -> RGB8:
    """Read a photo of a data set: what :func:`read_image` reads, rounded to 8 bits.

    Of any size up to the same limit: too small a photo to be split does no harm here.

    Args:
        path: As for :func:`read_image`.

    Raises:
        InputError: As :func:`read_image`.
    """
    path = Path(path)
    picture = _decode(path, _bytes_of(path), lambda width, height: None)
    return RGB8(_to_bytes(picture.srgb), picture.orientation)


def as_photo(source: Photo) -> np.ndarray:
    """Bring whatever stands for a photo to what the rest of the program works on.

    Args:
        source: A path, see :func:`read_image`; a PIL picture, which is turned upright by its EXIF
            data and converted by its profile; or an array (H, W, 3), (H, W, 4) or (H, W) of uint8,
            uint16 or floats in [0, 1], sRGB. Transparent pixels are laid over white.

    Returns:
        (H, W, 3) float32 in [0, 1], sRGB.

    Raises:
        InputError: A file that cannot be read, an array of another shape or type, values outside
            [0, 1], or a side below ``MIN_SIDE``; the message is one line.

    Examples:
        >>> import numpy as np
        >>> as_photo(np.zeros((20, 30), np.uint8)).shape
        (20, 30, 3)
    """
    return open_photo(source).srgb


def open_photo(source: Photo) -> ReadPhoto:
    """What :func:`as_photo` gives, and the photo as it is stored.

    Raises:
        InputError: As :func:`as_photo`.
    """
    if isinstance(source, ReadPhoto):
        return source
    if isinstance(source, str | Path):
        return read_photo(Path(source))
    picture = _pil_picture(source) if isinstance(source, Image.Image) else _array_picture(source)
    height, width = picture.srgb.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"the photo has {width} × {height} pixels; expected {MIN_SIDE} or more on each side"
        )
    return _to_photo(picture)


def _pil_picture(image: Image.Image) -> Picture:
    try:
        picture = picture_of(image)
    except UnusableError as error:
        raise InputError(f"the photo {error}") from error
    _report_problem("the photo", picture)
    return picture


def _array_picture(array: np.ndarray) -> Picture:
    array = np.asarray(array)
    shown = f"{array.dtype} of {'×'.join(map(str, array.shape)) or 'no shape'}"
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise InputError(f"the photo is {shown}; expected an array (H, W, 3), (H, W, 4) or (H, W)")
    if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise InputError(f"the photo is {shown}; expected uint8, uint16 or floats in [0, 1]")
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # NaN is neither
            raise InputError(
                f"the photo has values from {low:.6g} to {high:.6g}; expected floats in [0, 1], "
                "or uint8"
            )
    return picture_of_array(array)


def _photos_inside(folder: Path, tell: Callable[[str], object]) -> list[Path]:
    contents = list_folder(folder)
    count, rest = len(contents.files), contents.describe_rest()
    if not count:
        found = f"; found {rest}" if rest else "; it is empty"
        raise InputError(
            f"{folder} has no photos; expected files ending in {', '.join(PHOTO_SUFFIXES)}{found}"
        )
    if rest:
        tell(f"{folder}: {count} photo{'s' if count > 1 else ''}; passed over {rest}")
    return contents.files


_KINDS = ("file without ending", "dead link", "folder", "special file")
"""Of entries of a folder, besides endings."""


def _kind(entry: Path) -> str:
    """The ending of a file in lower case; for all else what it is."""
    if entry.is_file():
        return entry.suffix.lower() or _KINDS[0]
    if entry.is_dir():
        return _KINDS[2]
    return _KINDS[1] if entry.is_symlink() and not entry.exists() else _KINDS[3]


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path} does not exist; check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise InputError(f"cannot open {path}: {one_line(error)}; check the path") from error


def _bytes_of(path: Path) -> bytes:
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder; expected a photo file")
    if path.suffix.lower() not in PHOTO_SUFFIXES:
        raise InputError(
            f"{path} is not of a supported kind; expected a file ending in "
            f"{', '.join(PHOTO_SUFFIXES)}: convert it to PNG or JPEG"
        )
    if not stat.S_ISREG(mode):  # a device or pipe may never end
        raise InputError(f"{path} is not a regular file; expected a photo file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}; check its permissions"
        ) from error
    if not data:
        raise InputError(f"{path} is empty; copy or download the photo again")
    return data


def _check_size(max_side: int | None, most_pixels: int | None, width: int, height: int) -> None:
    if most_pixels is not None and width * height > most_pixels:
        raise UnusableError(
            f"has {width} × {height} pixels, {width * height / 1e6:.1f} megapixels; expected at "
            f"most {most_pixels / 1e6:g}: scale it down first"
        )
    if min(width, height) < MIN_SIDE:
        raise UnusableError(
            f"has {width} × {height} pixels; expected {MIN_SIDE} or more on each side"
        )
    scaled = size_of_side((height, width), max_side)[::-1]
    if min(scaled) < MIN_SIDE:
        raise UnusableError(
            f"has {width} × {height} pixels, scaled down only {scaled[0]} × {scaled[1]}; "
            f"expected {MIN_SIDE} or more on each side: allow a larger longer side"
        )


def _decode(path: Path, data: bytes, check_size: Callable[[int, int], None]) -> Picture:
    # Decoders warn about oddities (doubtful EXIF, many pixels) that do not spoil the photo.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            picture = decode(data, check_size)
        except UnusableError as error:
            raise InputError(f"{path} {error}") from error
        except MemoryError as error:
            raise InputError(f"{path} does not fit into memory; scale it down first") from error
        except Exception as error:
            # Damaged files make decoders raise almost anything: OSError, SyntaxError, zlib.error,
            # struct.error, KeyError … All of them mean the same to the user.
            raise InputError(
                f"{path} is damaged or cut off ({one_line(error)}); "
                "copy or download the photo again"
            ) from error
    _report_problem(path, picture)
    if picture.was_transparent:
        logger.info("%s has transparent pixels; they are laid over white", path)
    for warning in caught:
        logger.debug("%s: %s", path, one_line(warning.message))
    return picture


def _report_problem(photo: object, picture: Picture) -> None:
    if picture.problem is not None:
        logger.warning(
            "%s: its colour profile %s; its colours are taken as sRGB", photo, picture.problem
        )


def _to_photo(picture: Picture, max_side: int | None = None) -> ReadPhoto:
    size = size_of_side(picture.srgb.shape, max_side)[::-1]
    stored = None if picture.stored is None else _to_unit_float(picture.stored, size)
    return ReadPhoto(_to_unit_float(picture.srgb, size), stored, picture.profile)


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) samples of any depth → uint8, an array of its own."""
    if pixels.dtype == np.uint8:
        return np.array(pixels, order="C")
    full = np.float32(full_value(pixels))
    levels = np.multiply(pixels, 255 / full, dtype=np.float32)
    return np.rint(levels, out=levels).astype(np.uint8, order="C")


def _to_unit_float(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) samples of any depth → float32 in [0, 1] at ``size`` (width, height)."""
    full = np.float32(full_value(pixels))
    height, width = pixels.shape[:2]
    unit = np.empty((size[1], size[0], 3), np.float32)
    if (width, height) == size:
        return np.divide(pixels, full, out=unit, dtype=np.float32, casting="same_kind")
    for channel in range(3):  # one at a time: a float copy of a large photo is costly
        image = Image.fromarray(pixels[..., channel].astype(np.float32))
        unit[..., channel] = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    unit /= full
    return np.clip(unit, 0, 1, out=unit)  # Lanczos overshoots at edges
