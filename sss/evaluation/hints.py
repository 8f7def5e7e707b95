"""Rough masks made of a photo's truth, or found elsewhere: what methods that take hints are given.

True masks and mattes are made worse on purpose: eroded, dilated, moved aside or blurred to blobs by
a share of their size (the root of their area), so that what a method makes of them can be told from
what it was given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from sss.errors import InputError
from sss.files import file_sha256
from sss.proposals.instances import Instances
from sss.proposals.source import open_source
from sss.spectral.placing import signed_distance

SHARE = 0.03
"""Of the size, where none is given."""


def eroded(mask: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Without the pixels within ``amount`` of the rim; see :data:`KINDS`."""
    return signed_distance(mask) < -amount


def dilated(mask: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """With the pixels within ``amount`` of the rim."""
    return signed_distance(mask) < amount


def shifted(mask: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Moved by ``amount`` in a random direction, to whole pixels."""
    angle = rng.uniform(0, 2 * np.pi)
    move = np.rint(amount * np.array([np.cos(angle), np.sin(angle)]))
    matrix = np.column_stack([np.eye(2), move]).astype(np.float32)
    size = mask.shape[::-1]
    return cv2.warpAffine(mask.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0


def blob(mask: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """What is above one half after a Gaussian blur of the standard deviation ``amount``."""
    if amount <= 0:
        return mask
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), amount) > 0.5


KINDS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "erode": eroded,
    "dilate": dilated,
    "shift": shifted,
    "blob": blob,
}
"""Ways to make a mask (H, W) worse by so many pixels; a way that leaves nothing leaves the mask."""


def hint_identity(text: str) -> str:
    """Which masks ``--instances`` of an evaluation names: a hash of the files they come from.

    Raises:
        InputError: It is neither a kind with a share nor a source of masks.
    """
    if _parsed(text) is not None:
        return ""
    source = open_source(text)
    path = getattr(source, "path", None)
    if path is None:
        return type(source).__name__
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file_sha256(file)} ".encode())
    return digest.hexdigest()


def make_hints(text: str, truth: np.ndarray, photo: np.ndarray, name: str, seed: int) -> Instances:
    """The rough masks of a photo.

    Args:
        text: ``truth``, a key of :data:`KINDS`, such a key with a share as in ``erode:0.05``, or
            what :func:`sss.proposals.source.open_source` takes.
        truth: (T, H, W) bool true masks; may be none where masks come from elsewhere.
        photo: (H, W, 3) in [0, 1].
        name: Of the photo, by which masks in a file are found.
        seed: Of directions.

    Raises:
        InputError: There are none, or an unknown text.
    """
    parsed = _parsed(text)
    if parsed is None:
        return open_source(text, "cpu").find(photo, name)
    if not len(truth):
        raise InputError(f"hints '{text}' are made of true masks, and the photo has none")
    kind, share = parsed
    rng = np.random.default_rng(seed)
    masks = []
    for mask in truth:
        rough = mask
        if kind is not None:
            rough = kind(mask, share * float(np.sqrt(mask.sum())), rng)
        masks.append(rough if rough.any() else mask)
    return Instances(np.stack(masks).astype(bool))


def _parsed(
    text: str,
) -> tuple[Callable[[np.ndarray, float, np.random.Generator], np.ndarray] | None, float] | None:
    """Kind and share of hints that are made of the truth; None of others."""
    word, colon, number = text.partition(":")
    if text == "truth":
        return None, 0.0
    if word not in KINDS or Path(text).exists():
        return None
    try:
        share = float(number) if colon else SHARE
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"--instances {text}: expected a share from 0 to 1, as in {word}:0.05")
    return KINDS[word], share
