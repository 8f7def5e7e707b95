"""What may stand behind a cut-out: a photo, a colour, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sss.editing.values import colour, is_colour, shown
from sss.errors import InputError, printable
from sss.image.colour import into_profile
from sss.image.reading import read_image

NOTHING = "none"


@dataclass(frozen=True)
class Backdrop:
    """A background, read when it is asked for and not later.

    Attributes:
        written: As people write it: a path, a colour, or ``none``.
        image: (h, w, 3) float32 sRGB in [0, 1], one pixel for a colour; None for nothing.
    """

    written: str
    image: np.ndarray | None = field(repr=False, compare=False)

    @classmethod
    def parse(cls, key: str, value: Any, folder: Path | None = None) -> Backdrop:
        """Read a background.

        Args:
            key: Names it in messages.
            value: ``none``, a colour, or the path of a photo.
            folder: That a path is relative to; None is the current one.

        Raises:
            InputError: It is none of these, or the photo cannot be read.
        """
        if isinstance(value, Path):
            value = str(value)
        if not isinstance(value, str) or not value:
            raise InputError(
                f"{key} is '{shown(value)}', expected a photo, a colour such as '#ffffff', or none"
            )
        if value == NOTHING:
            return cls(value, None)
        if is_colour(value):
            return cls(value, np.array(colour(key, value), np.float32)[None, None])
        path = Path(value) if folder is None else folder / value
        if not path.exists():
            raise InputError(
                f"{key} is '{printable(value)}', which is neither a colour nor a file; expected a "
                "photo, a colour such as '#ffffff' or teal, or none"
            )
        try:
            return cls(value, read_image(path))
        except InputError as error:
            raise InputError(f"{key}: {error}") from error

    def pixels(self, size: tuple[int, int], profile: bytes | None) -> np.ndarray | None:
        """The background at a photo's size: scaled to cover it, and cut evenly at both ends.

        Args:
            size: Height and width.
            profile: Of the photo; None is sRGB.

        Returns:
            (H, W, 3) float32 in [0, 1], in the profile's encoding; None for nothing.
        """
        if self.image is None:
            return None
        height, width = size
        rows, columns = self.image.shape[:2]
        scale = max(height / rows, width / columns)
        new = max(height, round(rows * scale)), max(width, round(columns * scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        larger = cv2.resize(self.image, new[::-1], interpolation=how).reshape(*new, 3)
        top, left = (new[0] - height) // 2, (new[1] - width) // 2
        cut = np.ascontiguousarray(larger[top : top + height, left : left + width].clip(0, 1))
        return into_profile(cut, profile)
