"""All layers in one file, as image editors and compositors open them.

Our layers add up; these programs lay them on one another, see :mod:`sss.layers.formats.over`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from sss.errors import InputError
from sss.files import whole_file
from sss.layers.stack import Stack
from sss.suggest import check_name

LAYERED_FORMATS: Final = {
    "psd": (".psd",),
    "ora": (".ora",),
    "tiff": (".tif", ".tiff"),
    "exr": (".exr",),
}
"""Names of the formats, and how their files end; the first ending is the usual one."""

FORMATS: Final = ("png", *LAYERED_FORMATS)
"""What a result may be saved as; png is a picture per layer."""

BITS: Final = (8, 16)

_PACKAGES = {"psd": ("psd_tools", "psd-tools"), "exr": ("OpenEXR", "OpenEXR")}
"""What formats need beyond what all of us needs: module and package."""


def write_layered(path: str | Path, stack: Stack, bits: int = 8) -> None:
    """Write all layers to one file, whose format its ending says.

    ``.psd``, ``.ora`` and ``.tif`` open as the picture in programs that stack layers with *over*:
    within half a level of the chosen bits where it is opaque, else within one, as long as they
    composite in the encoding of the photo, as most do. ``.exr`` is for compositors, which do so in
    linear light. The first layer lies at the bottom.

    Args:
        path: Ends in one of ``LAYERED_FORMATS``, in whatever case. Appears whole or not at all.
        stack: One layer or more.
        bits: 8 or 16 of each sample; of no effect on EXR, which has half floats.

    Raises:
        InputError: The ending or the bits are unknown, a package is missing, the picture is too
            large for the format, or the file cannot be written.

    Examples:
        >>> import tempfile
        >>> import sss
        >>> from sss.layers.stack import Stack
        >>> stack = Stack.of(sss.split("docs/examples/coffee.png", layers=3))
        >>> path = Path(tempfile.mkdtemp()) / "coffee.ora"
        >>> write_layered(path, stack, bits=16)
        >>> path.is_file()
        True
    """
    path = Path(path)
    suffixes = {suffix: name for name, known in LAYERED_FORMATS.items() for suffix in known}
    try:
        check_name("ending", path.suffix.lower(), suffixes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    name = suffixes[path.suffix.lower()]
    check_formats([name], bits)
    if not len(stack):
        raise InputError(f"{path}: there are no layers to write")
    # Only this format's library is loaded.
    write: Callable[[Path, Stack, int], None] = getattr(
        importlib.import_module(f"sss.layers.formats.{name}"), f"write_{name}"
    )
    with whole_file(path) as unfinished:
        write(unfinished, stack, bits)


def check_formats(formats: Iterable[str], bits: int = 8) -> None:
    """Find out before the work whether files of these formats can be written.

    Raises:
        InputError: A name or the bits are unknown, none is given, or a package is missing.
    """
    formats = list(formats)
    if not formats:
        raise InputError(f"no format was given; known: {', '.join(FORMATS)}")
    for name in formats:
        check_name("format", name, FORMATS)
        module, package = _PACKAGES.get(name, ("", ""))
        if module and importlib.util.find_spec(module) is None:
            raise InputError(
                f"{name} files need {package}: pip install 'semantic-soft-segmentation[formats]' "
                "brings it"
            )
    if bits not in BITS:
        raise InputError(f"bits are {bits}, expected 8 or 16")


def save_formats(
    folder: Path, stack: Callable[[], Stack], formats: Iterable[str], bits: int
) -> None:
    """Write ``layers.psd`` and the like, and remove those of an earlier result.

    Args:
        folder: Where the result is.
        stack: Makes the layers; called if there is something to write.
        formats: Names of ``FORMATS``.
        bits: See :func:`write_layered`.

    Raises:
        InputError: As of :func:`write_layered`.
    """
    formats = list(formats)
    chosen = [name for name in LAYERED_FORMATS if name in formats]
    made = stack() if chosen else None
    for name, suffixes in LAYERED_FORMATS.items():
        path = folder / f"layers{suffixes[0]}"
        if made is not None and name in chosen:
            write_layered(path, made, bits)
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot remove {path} of an earlier result: {error.strerror or error}; "
                "choose another place to write to"
            ) from error
