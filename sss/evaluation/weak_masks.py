"""How well maps from image labels tell where the classes are: mean intersection over union.

True masks serve here and nowhere else.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sss.data.base import spread_evenly
from sss.data.image_labels import LabelledPhotos
from sss.errors import InputError
from sss.evaluation.bootstrap import (
    bootstrap_counts,
    holm,
    percentile_interval,
    ratio,
    swap_patterns,
)
from sss.files import whole_file
from sss.image import read_rgb8
from sss.image.label_maps import resize_labels, write_label_map
from sss.image.resize import resize_bytes, resize_linearly, size_of_side
from sss.layers.overview import layer_palette
from sss.metrics.class_iou import count_pixels, mean_iou
from sss.timer import PhotoProgress

log = logging.getLogger(__name__)

Predict = Callable[[str, int, tuple[int, int]], np.ndarray]
"""Kind of maps, number of the photo and (H, W) give the (H, W) mask of background 0, classes 1 …"""

KINDS = ("maps", "walk", "layers", "walk_layers")

PAIRS = (
    ("maps", "walk"),
    ("maps", "layers"),
    ("walk", "walk_layers"),
    ("maps", "walk_layers"),
    ("walk_layers", "segment"),
)
"""Whose gains are tested."""

_PICTURES, _HEIGHT = 12, 120


@dataclass(frozen=True)
class MaskScores:
    """Counts of pixels, photo by photo.

    Attributes:
        names: Of background and classes.
        sums: Kind → (P, 1 + C, 2): pixels of intersection and of union, of each photo and class.
    """

    names: tuple[str, ...]
    sums: dict[str, np.ndarray]

    def iou(self, kind: str) -> np.ndarray:
        """(1 + C,) intersection over union of each class over all photos; NaN where none is."""
        return ratio(self.sums[kind].sum(axis=0))

    def mean_iou(self, kind: str) -> float:
        """Mean over background and classes."""
        return float(mean_iou(self.sums[kind].sum(axis=0)))

    def interval(self, kind: str, seed: int = 0) -> tuple[float, float]:
        """95 % bootstrap interval of the mean, over photos."""
        sums = self.sums[kind]
        counts = bootstrap_counts(len(sums), seed=seed)
        drawn = (counts @ sums.reshape(len(sums), -1)).reshape(-1, *sums.shape[1:])
        return percentile_interval(np.nan_to_num(mean_iou(drawn)))

    def gain_p(self, first: str, second: str, seed: int = 0) -> float:
        """Two-sided p of the paired permutation test of the two means.

        Under the null hypothesis a photo's two masks might as well be swapped; see
        :func:`sss.evaluation.bootstrap.swap_test`, which does the same for a single ratio.
        """
        one, other = self.sums[first], self.sums[second]
        patterns = swap_patterns(len(one), seed=seed)
        moved = (patterns @ (other - one).reshape(len(one), -1)).reshape(-1, *one.shape[1:])
        after, before = other.sum(axis=0) - moved, one.sum(axis=0) + moved
        swapped = np.nan_to_num(mean_iou(after)) - np.nan_to_num(mean_iou(before))
        observed = abs(self.mean_iou(second) - self.mean_iou(first))
        return float(np.mean(np.abs(swapped) >= observed - 1e-12))


def evaluate_masks(
    photos: LabelledPhotos, predict: Predict, folder: Path, kinds: Sequence[str] = KINDS
) -> MaskScores:
    """Compare maps with the truth; write ``results.csv``, ``table.md`` and ``pictures.jpg``.

    Args:
        photos: Those whose set has true masks count.
        predict: Gives the masks.
        folder: For the results.
        kinds: Of maps.

    Raises:
        InputError: No photo has a true mask, or maps are missing.
    """
    count = len(photos.classes)
    sums: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    rows: list[np.ndarray] = []
    shown = set(spread_evenly(len(photos), _PICTURES))
    progress = PhotoProgress("evaluating", len(photos))
    for index in range(len(photos)):
        truth = photos.truth(index)
        if truth is not None:
            size = (truth.shape[0], truth.shape[1])
            masks = {kind: predict(kind, index, size) for kind in kinds}
            for kind, mask in masks.items():
                sums[kind].append(count_pixels(mask, truth, count))
            if index in shown:
                rows.append(_row(read_rgb8(photos.photos[index].path).pixels, truth, masks, count))
        progress.add()
    progress.clear()
    if not rows and not sums[kinds[0]]:
        raise InputError("no photo has a true mask, so there is nothing to compare with")
    scores = MaskScores(
        ("background", *photos.classes),
        {kind: np.array(values, float) for kind, values in sums.items()},
    )
    _write(scores, folder, kinds)
    _write_pictures(folder / "pictures.jpg", rows)
    log.info("%s", folder)
    return scores


def write_truth(photos: LabelledPhotos, folder: Path, side: int) -> int:
    """Write true masks as a data set ``folder``, to train or to measure embeddings on.

    Args:
        photos: Those whose set has true masks are written.
        folder: Gets ``images`` and ``labels``: 0 background, k + 1 of class k, 255 unknown.
        side: Longest side of a photo in pixels.

    Returns:
        How many photos there are.
    """
    written = 0
    for index, photo in enumerate(photos.photos):
        truth = photos.truth(index)
        if truth is None:
            continue
        size = size_of_side(truth.shape, side)
        small = resize_bytes(read_rgb8(photo.path).pixels, size)
        with whole_file(folder / "images" / f"{photo.name}.png") as partial:
            Image.fromarray(small).save(partial, format="PNG")
        write_label_map(folder / "labels" / f"{photo.name}.png", resize_labels(truth, size))
        written += 1
    return written


def _write(scores: MaskScores, folder: Path, kinds: Sequence[str]) -> None:
    with (
        whole_file(folder / "results.csv") as partial,
        partial.open("w", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["class", *kinds])
        for k, name in enumerate(scores.names):
            writer.writerow([name, *(f"{scores.iou(kind)[k]:.5f}" for kind in kinds)])
        writer.writerow(["mean", *(f"{scores.mean_iou(kind):.5f}" for kind in kinds)])
    text = results_text(scores, kinds)
    with whole_file(folder / "table.md") as partial:
        partial.write_text(text)
    print(text, end="")


def results_text(scores: MaskScores, kinds: Sequence[str] = KINDS) -> str:
    """Tables in Markdown: each class's IoU in per cent, the means, and the tests of the gains."""
    photos = len(next(iter(scores.sums.values())))
    lines = [
        f"Intersection over union in %, {photos} photos:",
        "",
        "| class | " + " | ".join(kind.replace("_", " + ") for kind in kinds) + " |",
        "|---|" + "---|" * len(kinds),
    ]
    for k, name in enumerate(scores.names):
        cells = " | ".join(f"{100 * scores.iou(kind)[k]:.1f}" for kind in kinds)
        lines.append(f"| {name} | {cells} |")
    means = " | ".join(
        "**{:.1f}** ({:.1f}–{:.1f})".format(
            *(100 * v for v in (scores.mean_iou(kind), *scores.interval(kind)))
        )
        for kind in kinds
    )
    lines += [f"| mean | {means} |", "", "| gain | points | p (Holm) |", "|---|---|---|"]
    pairs = [pair for pair in PAIRS if set(pair) <= set(kinds)]
    for (first, second), p in zip(
        pairs, holm([scores.gain_p(*pair) for pair in pairs]), strict=True
    ):
        gain = 100 * (scores.mean_iou(second) - scores.mean_iou(first))
        names = f"{first} → {second}".replace("_", " + ")
        lines.append(f"| {names} | {gain:+.1f} | {p:.4f} |")
    return "\n".join(lines) + "\n"


def _row(
    photo: np.ndarray, truth: np.ndarray, masks: dict[str, np.ndarray], classes: int
) -> np.ndarray:
    """Photo, truth and masks side by side, small."""
    palette = np.concatenate([np.zeros((1, 3)), layer_palette(classes)])
    pictures = [photo]
    for labels in (truth, *masks.values()):
        coloured = palette[np.maximum(labels, 0)] * 0.7 + photo * 0.3
        coloured[labels < 0] = 255
        pictures.append(coloured)
    width = max(1, round(photo.shape[1] * _HEIGHT / photo.shape[0]))
    return np.concatenate(
        [resize_linearly(p.astype(np.float32), (_HEIGHT, width)) for p in pictures], axis=1
    )


def _write_pictures(path: Path, rows: Sequence[np.ndarray]) -> None:
    """All rows below each other."""
    if not rows:
        return
    width = max(row.shape[1] for row in rows)
    padded = [
        np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for row in rows
    ]
    sheet = np.rint(np.concatenate(padded)).clip(0, 255).astype(np.uint8)
    with whole_file(path) as partial:
        Image.fromarray(sheet).save(partial, quality=88)
