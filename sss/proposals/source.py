"""Where a photo's instances come from, as people say it on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

import numpy as np

from sss.errors import InputError
from sss.proposals.given import GivenMasks
from sss.proposals.instances import Instances
from sss.proposals.maskrcnn import MASK_NMS, SCORE_THRESHOLD, MaskRCNN

PIECES: Final = "pieces"
"""The word for the connected pieces of the layers themselves."""

MASKRCNN: Final = "maskrcnn"


class Source(Protocol):
    """Gives the instances of one photo after the other."""

    def find(self, photo: np.ndarray, name: str) -> Instances:
        """The instances of a photo (H, W, 3) in [0, 1], whose file has the stem ``name``.

        Raises:
            InputError: There are none.
        """
        ...


def open_source(
    text: str | Path,
    device: str = "auto",
    score_threshold: float = SCORE_THRESHOLD,
    mask_nms: float = MASK_NMS,
) -> Source:
    """What ``--instances`` names.

    Args:
        text: A file or folder of masks, ``maskrcnn``, or ``maskrcnn:PATH``. A file that is called
            so is meant by ``./maskrcnn``.
        device: For Mask R-CNN.
        score_threshold: Likewise.
        mask_nms: Likewise.

    Raises:
        InputError: There is no such file, or a number is out of its range.

    Examples:
        >>> from sss.proposals.source import open_source
        >>> open_source("maskrcnn:weights.pth").path.name
        'weights.pth'
    """
    word, colon, path = str(text).partition(":")
    if word != MASKRCNN:
        return GivenMasks(Path(text).expanduser())
    if colon and not Path(path).expanduser().is_file():
        raise InputError(
            f"--instances {text}: {path or 'the path'} is no file; give the state dict of "
            "maskrcnn_resnet50_fpn_v2"
        )
    given = Path(path).expanduser() if colon else None
    return MaskRCNN(given, device, score_threshold, mask_nms)
