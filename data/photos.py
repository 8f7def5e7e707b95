"""Reading the photos of data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sss.errors import InputError, one_line


def load_rgb8(path: Path) -> np.ndarray:
    """Read a photo as (H, W, 3) uint8, grey ones with three equal channels.

    Pixels come as they are stored, since label maps belong to them: a camera's note on how to
    turn the photo is not followed.

    Raises:
        InputError: The file is damaged or no photo.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:  # Pillow's for damaged files
        reason = one_line(error)
        raise InputError(f"cannot read the photo {path} ({reason}); fetch it anew") from error
