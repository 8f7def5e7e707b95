"""Whether a data set has what training is made of: photos with two labels or more."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sss.data.base import RegionDataset, spread_evenly
from sss.data.training import has_two_labels
from sss.errors import InputError

PHOTOS = 48
"""Photos that are looked at, spread evenly."""

SECONDS = 10.0
"""No further photo is looked at after this long."""

FEW = 0.5
"""A smaller share of photos with two labels is worth a line."""


@dataclass(frozen=True)
class PairSurvey:
    """What the label maps of some photos of a data set hold.

    Attributes:
        looked_at: Photos whose labels were read.
        with_pairs: Those of them of which an annotator sees two labels or more.
        masks: Those of them with one label at most and unlabelled pixels: what a mask of 0 and
            255 is read as.
    """

    looked_at: int
    with_pairs: int
    masks: int

    @property
    def few(self) -> bool:
        """Whether most photos would be passed over."""
        return self.with_pairs < FEW * self.looked_at

    def __str__(self) -> str:
        return (
            f"{self.with_pairs} of {self.looked_at} photos that were looked at have two labels or "
            "more"
        )


def survey_pairs(
    dataset: RegionDataset, photos: int = PHOTOS, seconds: float = SECONDS
) -> PairSurvey:
    """Read some label maps of a data set, in bounded time.

    Args:
        dataset: To look into.
        photos: How many to read at most, spread evenly.
        seconds: No further photo is begun after this long.

    Raises:
        InputError: A file cannot be read.
    """
    started = time.monotonic()
    looked_at = with_pairs = masks = 0
    # In an order that is spread evenly at any time, as far as it goes: first, last, the middle …
    indices = spread_evenly(len(dataset), photos)
    for index in sorted(indices, key=lambda i: _reversed_bits(indices.index(i))):
        if looked_at and time.monotonic() - started > seconds:
            break
        labels = dataset[index][1]
        looked_at += 1
        if any(has_two_labels(annotator) for annotator in labels):
            with_pairs += 1
        elif (labels < 0).any():
            masks += 1
    return PairSurvey(looked_at, with_pairs, masks)


def require_pairs(name: str, dataset: RegionDataset, photos: int = PHOTOS) -> PairSurvey:
    """Refuse a data set in which no photo has two labels.

    Args:
        name: What the data set is called, for the error.
        dataset: To look into.
        photos: How many to read at most.

    Raises:
        InputError: There is none, or a file cannot be read.
    """
    survey = survey_pairs(dataset, photos)
    if survey.with_pairs:
        return survey
    reason = "so there are no regions to tell apart"
    if survey.masks == survey.looked_at:
        reason += (
            "; in label maps 255 means unlabelled: if these are masks of 0 and 255, store 1 in "
            "place of 255"
        )
    else:
        reason += "; give every region of a photo a number of its own"
    raise InputError(f"{name}: none of {survey.looked_at} photos has two labels, {reason}")


def _reversed_bits(number: int) -> int:
    return int(f"{number:016b}"[::-1], 2)
