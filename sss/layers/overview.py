"""One picture of a whole result: photo, features, layer map, every alpha and every layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sss.files import whole_file
from sss.layers.checks import TOLERANCE, check_picture, check_range, check_stack, check_sum
from sss.layers.foreground import foreground_colours

# Okabe and Ito, "Color Universal Design" (2008): told apart with every kind of colour blindness.
# Reordered so that the first few, the large layers, look calm beside each other.
_PALETTE = (
    (0, 114, 178),  # blue
    (230, 159, 0),  # orange
    (0, 158, 115),  # bluish green
    (204, 121, 167),  # reddish purple
    (86, 180, 233),  # sky blue
    (213, 94, 0),  # vermilion
    (240, 228, 66),  # yellow
    (70, 70, 70),  # dark grey in place of black, which a dark photo hides
)

# In pixels.
_TILE = 340  # longer side of a layer's tiles
_NARROWEST = 150  # a column still holds its caption
_MARGIN = 28
_GAP = 16
_FONT_SIZE = 18
_CAPTION = 30  # height of a caption's line
_SWATCH = 14
_CHECKER = 12

_LONGEST_NAME = 16  # characters that the narrowest column holds beside the percentage

_SAMPLES = 2  # rows and columns of the photo for one of a picture, before antialiasing
_COMPRESSION = 1  # in a third of the default's time; a fifth larger

_PAPER = (255, 255, 255)
_INK = (40, 40, 40)
_FRAME = (205, 205, 205)


class _Panel(NamedTuple):
    picture: np.ndarray  # (h, w, 3) in [0, 1]
    caption: str
    swatch: tuple[int, int, int] | None = None


def overview_picture(
    photo: np.ndarray,
    features3: np.ndarray | None,
    alpha: np.ndarray,
    names: Sequence[str] = (),
) -> np.ndarray:
    """Draw photo, features and layer map, and below them each layer's alpha and cut-out.

    Of large arrays only some rows and columns are looked at, and checked.

    Args:
        photo: (H, W, 3) in [0, 1], sRGB.
        features3: (h, w, 3) in [0, 1], the reduced embedding, shown as RGB; of any size. None
            leaves it out.
        alpha: (H, W, K), layers that sum to one per pixel.
        names: K of them; without, layers are numbered.

    Returns:
        uint8 (h, w, 3), about 1000 to 2000 pixels wide whatever the photo's size.

    Raises:
        ValueError: An array has a wrong shape or values outside its range.
    """
    return np.asarray(_drawn(photo, features3, alpha, names))


def write_overview(
    path: Path,
    photo: np.ndarray,
    features3: np.ndarray | None,
    alpha: np.ndarray,
    names: Sequence[str] = (),
) -> None:
    """Write ``overview_picture`` as PNG.

    Raises:
        ValueError: As ``overview_picture``.
        InputError: The file cannot be written.
    """
    picture = _drawn(photo, features3, alpha, names)
    with whole_file(path) as partial:
        picture.save(partial, format="PNG", compress_level=_COMPRESSION)


def layer_palette(count: int) -> np.ndarray:
    """(count, 3) distinct uint8 colours; after the eighth the series repeats, darker."""
    shades = [0.6 ** (k // len(_PALETTE)) for k in range(count)]
    colours = [_PALETTE[k % len(_PALETTE)] for k in range(count)]
    return np.rint(np.array(colours) * np.array(shades)[:, None]).astype(np.uint8)


def _drawn(
    photo: np.ndarray, features3: np.ndarray | None, alpha: np.ndarray, names: Sequence[str]
) -> Image.Image:
    check_picture("photo", photo)
    check_stack(photo, alpha)

    columns = _columns(alpha.shape[2])
    tile = _fitted(photo.shape[1], photo.shape[0], _TILE)
    cell = max(tile[0], _NARROWEST)
    width = columns * cell + (columns - 1) * _GAP
    # The three pictures on top share the whole width.
    top_cell = (width - 2 * _GAP) // 3
    top = _fitted(photo.shape[1], photo.shape[0], round(_TILE * top_cell / cell))

    photo, alpha = _thinned(photo, top), _thinned(alpha, top)
    check_range("photo", photo, TOLERANCE)
    check_range("alpha", alpha, TOLERANCE)
    check_sum(alpha)
    photo, alpha = _resized(photo, top), _resized(alpha, top)
    shown = [_Panel(photo, "Photo")]
    if features3 is not None:
        shown.append(_features_panel(features3, top))
    colours = layer_palette(alpha.shape[2]) / np.float32(255)  # (K, 3)
    shown.append(_Panel(alpha @ colours, "Layers"))  # (h, w, K) @ (K, 3)
    rows = [_strip(shown, top_cell, width)]
    panels = _layer_panels(_resized(photo, tile), _resized(alpha, tile), names)
    for start in range(0, len(panels), columns):
        mattes, cut_outs = zip(*panels[start : start + columns], strict=True)
        rows += [_strip(mattes, cell, width), _strip(cut_outs, cell, width)]
    return _stacked(rows)


def _columns(count: int) -> int:
    """Layers beside each other: three to five, and no nearly empty last row."""
    if count <= 5:
        return max(3, count)
    return math.ceil(count / math.ceil(count / 5))


def _features_panel(features3: np.ndarray, size: tuple[int, int]) -> _Panel:
    check_picture("features3", features3)
    features3 = _thinned(features3, size)
    check_range("features3", features3, TOLERANCE)
    return _Panel(_resized(features3, size), "Features")


def _layer_panels(
    photo: np.ndarray, alpha: np.ndarray, names: Sequence[str]
) -> list[tuple[_Panel, _Panel]]:
    """A pair per layer: its alpha in grey, and its own colours over a checkerboard."""
    colours = foreground_colours(photo, alpha, exact_sum=False)
    board = _checkerboard(*photo.shape[:2])
    pairs = []
    for k, swatch in enumerate(layer_palette(alpha.shape[2])):
        matte = alpha[..., k, None]  # (h, w, 1)
        name = names[k] if names else f"layer {k}"
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        caption = f"{short[:1].upper()}{short[1:]} · {_percent(float(matte.mean()))}"
        shown = _Panel(np.broadcast_to(matte, photo.shape), caption, tuple(swatch))
        pairs.append((shown, _Panel(matte * (colours[..., k, :] - board) + board, "")))
    return pairs


def _percent(fraction: float) -> str:
    return "< 1 %" if 0 < fraction < 0.005 else f"{100 * fraction:.0f} %"


def _checkerboard(height: int, width: int) -> np.ndarray:
    rows, columns = np.arange(height)[:, None] // _CHECKER, np.arange(width) // _CHECKER
    return np.where((columns + rows) % 2, np.float32(0.80), np.float32(0.94))[..., None]


def _fitted(width: int, height: int, longer: int) -> tuple[int, int]:
    scale = longer / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _thinned(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) as float32, with no more rows and columns than pictures of ``size`` need."""
    step = max(1, max(picture.shape[:2]) // (_SAMPLES * max(size)))
    # The start is half a step in, or the picture would move towards the upper left.
    planes = np.moveaxis(picture[step // 2 :: step, step // 2 :: step], 2, 0)
    return np.moveaxis(np.ascontiguousarray(planes, dtype=np.float32), 0, 2)


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) float32 → (h, w, C) at ``size`` (width, height), antialiased.

    The filters do not overshoot: values stay in their range, and sums of one stay one.
    """
    shrinks = max(size) < max(picture.shape[:2])
    # Enlarged, the sharper filter would show the pixels as squares.
    sampling = Image.Resampling.HAMMING if shrinks else Image.Resampling.BILINEAR
    resized = np.empty((picture.shape[2], size[1], size[0]), np.float32)
    for channel, to in zip(np.moveaxis(picture, 2, 0), resized, strict=True):
        to[:] = np.asarray(Image.fromarray(channel).resize(size, sampling))
    return np.moveaxis(resized, 0, 2)


def _strip(panels: tuple[_Panel, ...] | list[_Panel], cell: int, width: int) -> Image.Image:
    """Panels beside each other with captions above, the whole centred in ``width``."""
    height = panels[0].picture.shape[0]
    above = _CAPTION if any(panel.caption for panel in panels) else 0
    strip = Image.new("RGB", (width, above + height), _PAPER)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(_FONT_SIZE)
    left = (width - len(panels) * cell - (len(panels) - 1) * _GAP) // 2
    for panel in panels:
        tile = Image.fromarray(np.rint(panel.picture * 255).astype(np.uint8))
        strip.paste(tile, (left, above))
        # A thin frame, so that white mattes and skies do not run into the paper.
        draw.rectangle((left, above, left + tile.width - 1, above + height - 1), outline=_FRAME)
        text, middle = left, above // 2 - 2
        if panel.swatch is not None:
            top = middle - _SWATCH // 2
            draw.rectangle((left, top, left + _SWATCH, top + _SWATCH), fill=panel.swatch)
            text += _SWATCH + 8
        draw.text((text, middle), panel.caption, fill=_INK, font=font, anchor="lm")
        left += cell + _GAP
    return strip


def _stacked(rows: list[Image.Image]) -> Image.Image:
    """Rows under each other, inside margins."""
    height = sum(row.height for row in rows) + _GAP * (len(rows) - 1) + 2 * _MARGIN
    page = Image.new("RGB", (rows[0].width + 2 * _MARGIN, height), _PAPER)
    top = _MARGIN
    for row in rows:
        page.paste(row, (_MARGIN, top))
        top += row.height + _GAP
    return page
