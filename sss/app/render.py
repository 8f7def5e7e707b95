"""Pictures for the page: previews as JPEG, the map of layers as PNG, both as URLs that hold them.

JPEG, since a preview of a megapixel is encoded in 10 ms: PNG takes fifteen times as long. Whatever
is transparent shows a checkerboard, as JPEG has no alpha.
"""

from __future__ import annotations

import base64
import io

import cv2
import numpy as np
from PIL import Image

from sss.editing.draft import Draft
from sss.layers.soft_layers import Layers

_QUALITY = 90
_CHECKER = 12
"""Side of a checkerboard's square in pixels."""

_LIGHT, _DARK = np.float32(0.94), np.float32(0.80)
_OPAQUE = 1 - 1e-3


def photo_url(photo: np.ndarray) -> str:
    """A ``data:`` URL of (H, W, 3) float32 in [0, 1] as JPEG."""
    levels = cv2.convertScaleAbs(photo, alpha=255)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return _url("image/jpeg", file.getvalue())


def labels_url(layers: Layers) -> str:
    """A ``data:`` URL of the strongest layer of each pixel: a grey PNG whose level is its number.

    Without a profile or gamma, so that a browser hands the levels on as they are.
    """
    file = io.BytesIO()
    labels = Image.fromarray(layers.labels.astype(np.uint8))
    labels.save(file, "PNG", compress_level=1)
    return _url("image/png", file.getvalue())


def result_picture(draft: Draft) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1]: edited layers added up, on a checkerboard where transparent."""
    total = draft.union(range(len(draft.planes)))
    if draft.backdrop is not None:
        total[..., :3] += draft.backdrop * (1 - total[..., 3:]).clip(0, 1)
    elif total[..., 3].min() < _OPAQUE:
        total[..., :3] += _checkerboard(draft.size) * (1 - total[..., 3:]).clip(0, 1)
    return np.clip(total[..., :3], 0, 1)


def _checkerboard(size: tuple[int, int]) -> np.ndarray:
    rows, columns = (np.arange(side) // _CHECKER % 2 for side in size)
    return np.where(rows[:, None] ^ columns, _DARK, _LIGHT)[..., None]


def _url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
