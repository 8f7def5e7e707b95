"""Pictures of a network at work: its embedding, and the soft layers that it leads to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from sss.files import whole_file
from sss.layers.overview import layer_palette, overview_picture
from sss.models.reduction import (
    CLIP,
    DIMENSIONS,
    check_embedding,
    principal_components,
    stretch,
)
from sss.splitter import Splitter

_GAP = 8  # pixels between panels
_UNLABELLED = (150, 150, 150)
_COLOURS = 16  # of label maps: the palette and its darker shades


def embedding_picture(photo: np.ndarray, embedding: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Photo, label map and embedding beside each other.

    Args:
        photo: (H, W, 3) uint8.
        embedding: (H, W, D); its three principal components are shown as red, green and blue,
            not smoothed along the photo's edges as inference does it.
        labels: (A, H, W) integer segment labels; those of the first annotator are shown, the small
            segments in darker colours, unlabelled pixels (negative) in grey.

    Returns:
        (H, 3·W + gaps, 3) uint8.

    Raises:
        InputError: An embedding of another size than the photo, or not finite.
    """
    check_embedding(embedding, photo.shape[:2])
    clipped = np.clip(embedding, -CLIP, CLIP).reshape(-1, embedding.shape[2])
    projected = principal_components(clipped, DIMENSIONS).reshape(photo.shape)
    colours = np.rint(255 * stretch(projected)).astype(np.uint8)
    gap = np.full((len(photo), _GAP, 3), 255, np.uint8)
    return np.concatenate([photo, gap, _label_colours(labels[0]), gap, colours], axis=1)


def layers_picture(photo: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    """The overview that infer.py writes, of the layers that it finds with this network.

    Args:
        photo: (H, W, 3) uint8.
        embedding: (H, W, D).

    Returns:
        (h, w, 3) uint8, about 1000 to 2000 pixels wide.

    Raises:
        InputError: An embedding of another size than the photo, or not finite.
    """
    scene = Splitter(device="cpu").prepare(photo, embedding=embedding)
    return overview_picture(scene.photo, scene.features3, scene.layers().alpha)


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
