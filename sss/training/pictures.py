"""Pictures of a network at work: its features, and the soft layers that they lead to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from sss.files import whole_file
from sss.layers.overview import layer_palette, overview_picture
from sss.models.reduction import (
    CLIP,
    DIMENSIONS,
    check_embedding,
    principal_components,
    reduce_embedding,
    stretch,
)
from sss.spectral.segmenter import SoftSegmenter
from sss.spectral.settings import Settings

LAYERS_SIDE = 128
"""Longer side of the photos that are split into layers, in pixels. A photo of 481×321 with 64-D
features then takes 8 to 9 s on one thread of two busy cores; 96 takes 7 s, 160 takes 11 s."""

_GAP = 8  # pixels between panels
_UNLABELLED = (150, 150, 150)
_COLOURS = 16  # of label maps: the palette and its darker shades


def feature_picture(photo: np.ndarray, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Photo, label map and features beside each other.

    Args:
        photo: (H, W, 3) uint8.
        features: (H, W, D); their three principal components are shown as red, green and blue,
            not smoothed along the photo's edges as inference does it.
        labels: (A, H, W) integer segment labels; those of the first annotator are shown, the small
            segments in darker colours, unlabelled pixels (negative) in grey.

    Returns:
        (H, 3·W + gaps, 3) uint8.

    Raises:
        InputError: Features of another size than the photo, or not finite.
    """
    check_embedding(features, photo.shape[:2])
    clipped = np.clip(features, -CLIP, CLIP).reshape(-1, features.shape[2])
    projected = principal_components(clipped, DIMENSIONS).reshape(photo.shape)
    colours = np.rint(255 * stretch(projected)).astype(np.uint8)
    gap = np.full((len(photo), _GAP, 3), 255, np.uint8)
    return np.concatenate([photo, gap, _label_colours(labels[0]), gap, colours], axis=1)


def layers_picture(
    photo: np.ndarray, features: np.ndarray, max_side: int = LAYERS_SIDE, seed: int = 0
) -> np.ndarray:
    """The overview of inference, of a reduced photo: features, layers and their alphas.

    The features are those of the whole photo, reduced with it; so the layers are what inference
    finds, but without fine detail.

    Args:
        photo: (H, W, 3) uint8.
        features: (H, W, D).
        max_side: Longer side that the photo is reduced to, if it is larger.
        seed: Of the segmentation.

    Returns:
        (h, w, 3) uint8, about 1000 to 2000 pixels wide.

    Raises:
        InputError: Features of another size than the photo, or not finite.
        RuntimeError: The eigenvectors were not found.
    """
    colours = photo.astype(np.float32) / 255
    reduced = reduce_embedding(features, colours).astype(np.float32)
    scale = min(1.0, max_side / max(photo.shape[:2]))
    size = [max(3, round(side * scale)) for side in photo.shape[:2]]
    small, reduced = (
        cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA).clip(0, 1)
        for picture in (colours, reduced)
    )
    layers = SoftSegmenter(Settings(seed=seed))(small, reduced)
    return overview_picture(small, reduced, layers.alpha)


def save_pictures(folder: Path, step: int, pictures: Mapping[str, np.ndarray]) -> None:
    """Write each picture as ``folder/pictures/STEP/NAME.png``.

    Args:
        folder: Of the run.
        step: Six digits or more in the path, so that the folders stand in their order.
        pictures: (H, W, 3) uint8 by name; what a file name should not hold becomes ``-``.

    Raises:
        InputError: A file cannot be written.
    """
    for name, picture in pictures.items():
        file_name = re.sub(r"[^\w.-]+", "-", name)
        with whole_file(folder / "pictures" / f"{step:06d}" / f"{file_name}.png") as partial:
            Image.fromarray(picture).save(partial, format="PNG")


def _label_colours(labels: np.ndarray) -> np.ndarray:
    """(H, W) labels as (H, W, 3) uint8."""
    segments, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    counts[segments < 0] = 0
    rank = np.empty(len(segments), int)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(segments))
    colours = layer_palette(_COLOURS)[rank % _COLOURS]  # (segments, 3)
    colours[segments < 0] = _UNLABELLED
    return colours[places.reshape(labels.shape)]
