"""Writing what a photo was split into: the alpha stack, one RGBA picture per layer, the report."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sss.errors import InputError
from sss.files import whole_file
from sss.layers.checks import check_alpha, check_colours, check_photo

_LAYER_FILE = re.compile(r"layer_(\d+)\.png")


def write_layers(
    folder: Path, photo: np.ndarray, alpha: np.ndarray, foregrounds: np.ndarray
) -> None:
    """Write ``layers.npz`` and ``layer_0.png … layer_{K-1}.png`` into ``folder``.

    ``layers.npz`` holds ``alpha``, float32 (H, W, K). The pictures are 8-bit RGBA with straight
    alpha; their alphas sum to exactly 255 in each pixel. All files are finished before the first
    takes its final name, so a failure leaves an earlier result as it was. Pictures of layers that
    an earlier result had and this one has not are removed.

    Args:
        folder: Made if missing.
        photo: (H, W, 3) in [0, 1], the photo that was split.
        alpha: (H, W, K) in [0, 1], summing to one per pixel; order of layers is kept.
        foregrounds: (K, H, W, 3) in [0, 1], the layers' own colours.

    Raises:
        ValueError: An array has a wrong shape, values that are not finite or outside [0, 1], or
            alphas that do not sum to one.
        InputError: The files cannot be written.
    """
    photo, alpha, foregrounds = map(np.asarray, (photo, alpha, foregrounds))
    check_photo(photo)
    check_alpha(photo, alpha)
    count = alpha.shape[2]
    check_colours("foregrounds", foregrounds, (count, *photo.shape))

    folder = Path(folder)
    levels = alpha_levels(alpha)
    with ExitStack() as files:  # on leaving, each partial file gets its name, or all vanish
        stack = files.enter_context(whole_file(folder / "layers.npz"))
        np.savez_compressed(stack, alpha=np.clip(alpha, 0, 1).astype(np.float32))
        for k in range(count):
            partial = files.enter_context(whole_file(folder / f"layer_{k}.png"))
            colour = np.rint(foregrounds[k].clip(0, 1) * 255).astype(np.uint8)  # (H, W, 3)
            Image.fromarray(np.dstack([colour, levels[..., k]])).save(partial)
    _remove_surplus(folder, count)


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write ``report`` as indented JSON; NumPy numbers, arrays and paths are welcome.

    Raises:
        ValueError: A number is NaN or infinite, which JSON has no word for.
        TypeError: A value is of a kind that JSON has no word for.
        InputError: The file cannot be written.
    """
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    with whole_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def alpha_levels(alpha: np.ndarray) -> np.ndarray:
    """(H, W, K) alphas → uint8 levels that sum to exactly 255 in each pixel.

    Rounding the running sum over the layers, not each alpha, keeps the total; every level is
    within one of 255·alpha, and an alpha of zero stays zero.
    """
    running = np.cumsum(np.clip(alpha, 0, 1), axis=2, dtype=np.float64)
    steps = np.rint(running / running[..., -1:] * 255)
    return np.diff(steps, axis=2, prepend=0).astype(np.uint8)


def _remove_surplus(folder: Path, count: int) -> None:
    for path in folder.iterdir():
        match = _LAYER_FILE.fullmatch(path.name)
        if match and int(match[1]) >= count:
            try:
                path.unlink()
            except OSError as error:
                raise InputError(
                    f"cannot remove {path} of an earlier result: {error.strerror or error}; "
                    "choose another place to write to"
                ) from error


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a report cannot hold a {type(value).__name__}; give numbers, text or lists")
