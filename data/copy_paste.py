"""Copy–paste augmentation: object instances of one photo pasted onto another.

G. Ghiasi et al., *Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation*, CVPR 2021. As there, both photos are scaled, cropped and mirrored by themselves, and
the pasted instances cover what lies below them. Colour augmentation comes afterwards, over all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from sss.data.base import InstanceDataset, RegionDataset
from sss.errors import InputError

MAX_INSTANCES = 3
"""A paste takes one to this many instances."""

EDGE_SIGMA = 1.5
"""Standard deviation in pixels of the Gaussian that softens the edges of what is pasted."""

MIN_AREA, MAX_AREA = 0.002, 0.5
"""Fraction of the crop that one instance must have at least and that all may have at most."""

DONOR_TRIES = 4
"""Crops that are drawn until one shows an instance to paste."""

GeometricTransform = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""Maps a photo, its labels and a seed to a crop of both of a fixed size."""


class CopyPaste:
    """Pastes instances of random photos of a mix.

    Args:
        sources: Data sets of the mix; those with instances give them.
        weights: How often each is drawn, any positive scale.
        geometry: Random scale, crop and mirror to the size of the photos to be pasted onto.

    Raises:
        InputError: No data set has instances.
    """

    def __init__(
        self,
        sources: Sequence[RegionDataset],
        weights: Sequence[float],
        geometry: GeometricTransform,
    ) -> None:
        pairs = zip(sources, weights, strict=True)
        donors = [(s, w) for s, w in pairs if isinstance(s, InstanceDataset) and len(s)]
        if not donors:
            raise InputError(
                "data.copy_paste is above 0, but none of data.sources has object instances; add "
                "coco_instances, coco_panoptic or cocostuff with 'labels: instance', or set "
                "data.copy_paste to 0"
            )
        self.donors = [source for source, _ in donors]
        self.probabilities = np.array([weight for _, weight in donors], float)
        self.probabilities /= self.probabilities.sum()
        self.geometry = geometry

    def __call__(
        self, photo: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Paste one to ``MAX_INSTANCES`` instances of one photo onto a crop.

        Args:
            photo: (crop, crop, 3) uint8.
            labels: (crop, crop) int32.
            rng: Decides everything random.

        Returns:
            New photo and labels. The crop as it came if ``DONOR_TRIES`` donors show no instance.
        """
        donor = self.donors[rng.choice(len(self.donors), p=self.probabilities)]
        for _ in range(DONOR_TRIES):
            index = int(rng.integers(len(donor)))
            things = donor.things(index)
            if not len(things):
                continue
            source, annotators = donor[index]
            source, cropped = self.geometry(source, annotators[0], int(rng.integers(2**31)))
            masks = pick_instances(cropped, things, rng)
            if masks:
                return paste(photo, labels, source, masks)
        return photo, labels


def pick_instances(
    labels: np.ndarray, things: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray]:
    """Masks of one to ``MAX_INSTANCES`` random instances of a crop.

    Instances that are hardly visible are passed over, and so are those that would leave less than
    ``1 - MAX_AREA`` of the photo below.

    Args:
        labels: (H, W) integer labels.
        things: Labels that are instances.
        rng: Decides which and how many.

    Returns:
        (H, W) bool masks that do not overlap; an empty list if no instance is fit.
    """
    found, areas = np.unique(labels, return_counts=True)
    fit = np.isin(found, things) & (areas >= MIN_AREA * labels.size)
    wanted = int(rng.integers(1, MAX_INSTANCES + 1))
    masks: list[np.ndarray] = []
    room = MAX_AREA * labels.size
    for position in rng.permutation(np.flatnonzero(fit)):
        if areas[position] <= room and len(masks) < wanted:
            masks.append(labels == found[position])
            room -= areas[position]
    return masks


def paste(
    photo: np.ndarray, labels: np.ndarray, source: np.ndarray, masks: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Lay regions of ``source`` over ``photo``; soft in the photo, hard in the labels.

    Args:
        photo: (H, W, 3) uint8.
        labels: (H, W) int32.
        source: (H, W, 3) uint8, where the regions come from.
        masks: (H, W) bool each, without overlap. Each gets a label of its own that ``labels``
            does not have.

    Returns:
        New photo (H, W, 3) uint8 and labels (H, W) int32.
    """
    # The union is blurred, not each mask, so that nothing shows through between two neighbours.
    union = np.logical_or.reduce(masks).astype(np.float32)
    alpha = cv2.GaussianBlur(union, (0, 0), EDGE_SIGMA)[..., None]
    blend = alpha * source + (1 - alpha) * photo
    pasted = labels.copy()
    first = max(int(labels.max()), -1) + 1
    for label, mask in enumerate(masks, start=first):
        pasted[mask] = label
    return np.rint(blend).astype(np.uint8), pasted
