"""Layers from the folder that they were written to."""

from __future__ import annotations

import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sss.errors import InputError, one_line
from sss.image.colour import ProfileError, managed
from sss.layers.files import REPORT
from sss.layers.soft_layers import Layers
from sss.threads import map_threads

STACK = "layers.npz"

_ANEW = "split the photo anew"


def is_layers_folder(folder: Path) -> bool:
    """Whether a folder holds a whole result of ``infer.py`` or :meth:`sss.Layers.save`."""
    return (folder / REPORT).is_file() and (folder / STACK).is_file()


def read_layers(folder: str | Path) -> Layers:
    """Read what :meth:`sss.Layers.save` wrote.

    The photo is the layers' sum, so it comes back to a level of 8 bits. What the layers were
    merged from is in no file.

    Args:
        folder: With ``layers.npz``, ``layer_0.png`` … and ``report.json``.

    Raises:
        InputError: It holds no such files, or one of them is damaged or does not fit the others.

    Examples:
        >>> import tempfile
        >>> import sss
        >>> folder = tempfile.mkdtemp()
        >>> report = sss.split("docs/examples/coffee.png", layers=3).save(folder)
        >>> len(read_layers(folder))
        3
    """
    folder = Path(folder)
    if not is_layers_folder(folder):
        raise InputError(
            f"{folder} holds no layers; expected a folder with {STACK} and {REPORT}, as infer.py "
            "writes it"
        )
    report = _report(folder / REPORT)
    alpha = _alpha(folder / STACK)
    if alpha.ndim != 3:
        raise InputError(f"{folder / STACK} has an alpha of {alpha.shape}, expected (H, W, K)")
    height, width, count = alpha.shape
    paths = [folder / f"layer_{k}.png" for k in range(count)]
    pictures = map_threads(partial(_picture, size=(width, height)), paths)
    stored = np.zeros((height, width, 3), np.float32)
    for k, (pixels, _) in enumerate(pictures):
        stored += alpha[..., k, None] * (pixels.astype(np.float32) / np.float32(255))
    stored = stored.clip(0, 1)
    profile = pictures[0][1]
    names = report.get("names")
    known = isinstance(names, list) and len(names) == count
    try:
        srgb = stored if profile is None else _srgb(stored, profile)
        return Layers(
            srgb,
            alpha.astype(np.float32, copy=False),
            tuple(map(str, names)) if known and names else (),
            stored=None if srgb is stored else stored,
            profile=profile,
            salience=_salience(report.get("salience"), count),
        )
    except (ValueError, ProfileError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the layers in {folder} do not fit ({error}); {_ANEW}") from error


def _report(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({one_line(error)}); {_ANEW}") from error
    if not isinstance(report, dict):
        raise InputError(f"{path} is no report; {_ANEW}")
    return report


def _salience(values: Any, count: int) -> tuple[float, ...] | None:
    """Of a report; None where it has none that fits."""
    if not isinstance(values, list) or len(values) != count:
        return None
    if not all(isinstance(value, int | float) and 0 <= value <= 1 for value in values):
        return None
    return tuple(map(float, values))


def _alpha(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive["alpha"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged or cut off ({one_line(error)}); {_ANEW}") from error


def _picture(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, bytes | None]:
    """(H, W, 3) uint8 colours of a layer, and its profile."""
    if not path.is_file():
        raise InputError(f"{path} is missing; split the photo with --format png, and --overwrite")
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.size != size or image.mode != "RGBA":
                raise InputError(
                    f"{path} is {image.mode} of {image.width} × {image.height} pixels, expected "
                    f"RGBA of {size[0]} × {size[1]}; {_ANEW}"
                )
            return np.asarray(image)[..., :3], image.info.get("icc_profile")
    except InputError:
        raise
    except Exception as error:  # damaged files make decoders raise almost anything
        raise InputError(f"{path} is damaged or cut off ({one_line(error)}); {_ANEW}") from error


def _srgb(stored: np.ndarray, profile: bytes) -> np.ndarray:
    """Colours in a profile's encoding as sRGB, (H, W, 3) in [0, 1]; the same array if equal."""
    full = np.float32(65535)
    pixels = managed(np.rint(stored * full).astype(np.uint16), "RGB", profile)
    return stored if pixels.stored is None else pixels.srgb.astype(np.float32) / full
