"""Whether a run has anything to learn from: how many of its photos give pairs."""

from __future__ import annotations

from sss.errors import InputError
from sss.training.config import OptimConfig

FIRST_PHOTOS = 64
"""A run of which none of the first photos gives a pair is stopped."""


class PairCount:
    """Counts the photos of a run that had two labels in their crop.

    Args:
        optim: Photos of a step, and steps of the run.
    """

    def __init__(self, optim: OptimConfig) -> None:
        self.batch = optim.batch
        self.photos = 0
        self.with_pairs = 0
        self._at_row = (0, 0)
        self._enough = min(FIRST_PHOTOS, optim.steps * optim.batch)

    def add(self, with_pairs: int) -> None:
        """Count a step, of which so many photos had pairs.

        Raises:
            InputError: There were enough photos, and none had.
        """
        self.photos += self.batch
        self.with_pairs += with_pairs
        if not self.with_pairs and self.photos >= self._enough:
            raise InputError(
                f"none of the {self.photos} photos so far had two labels in its crop, so there is "
                "nothing to learn from; enlarge data.crop, lower data.scale, or look at the labels "
                "of data.sources: in masks of 0 and 255, 255 means unlabelled; write 1 in its place"
            )

    def share(self) -> float:
        """Fraction of the photos since the last call that had pairs."""
        photos, with_pairs = self.photos - self._at_row[0], self.with_pairs - self._at_row[1]
        self._at_row = self.photos, self.with_pairs
        return with_pairs / photos
