"""How layers came to be: the components of each, and in which order they merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sss.spectral.grouping import cut_merges
from sss.spectral.upsampling import enlarge_along_photo


@dataclass(frozen=True)
class MergeTree:
    """Components, the order in which they merge, and which of them each layer is made of.

    Attributes:
        components: (h, w, C) float32, on the solver's grid, summing to one; may leave [0, 1].
        merges: C − 1 pairs ``(into, merged)``, see
            :func:`sss.spectral.grouping.average_linkage`.
        groups: K tuples of component numbers.
    """

    components: np.ndarray
    merges: tuple[tuple[int, int], ...]
    groups: tuple[tuple[int, ...], ...]

    @classmethod
    def of_layers(
        cls, components: np.ndarray, merges: Sequence[tuple[int, int]], layers: np.ndarray
    ) -> MergeTree:
        """Find out which layer each component went to.

        Args:
            components: (h, w, C).
            merges: See above.
            layers: (h, w, K) made of them.
        """
        flat = components.reshape(-1, components.shape[2]).clip(0, 1)
        overlap = flat.T @ layers.reshape(len(flat), -1)  # (C, K)
        home = overlap.argmax(axis=1)
        groups = tuple(tuple(map(int, np.flatnonzero(home == k))) for k in range(layers.shape[2]))
        return cls(components.astype(np.float32), tuple(merges), groups)

    def regrouped(self, parts: Sequence[Sequence[int]]) -> MergeTree:
        """The tree of layers that are each the sum of some of these."""
        groups = tuple(
            tuple(sorted(number for layer in part for number in self.groups[layer]))
            for part in parts
        )
        return replace(self, groups=groups)

    def divided(self, layer: int, parts: int) -> list[tuple[int, ...]]:
        """Components of the groups that a layer was merged from.

        Args:
            layer: Its number.
            parts: Groups wanted.

        Returns:
            Groups of component numbers: as many, or as there are components.
        """
        members = self.groups[layer]
        if len(members) < 2:  # a layer of somebody's mask may have no component of its own
            return [members]
        place = {number: index for index, number in enumerate(members)}
        inside = [(place[a], place[b]) for a, b in self.merges if a in place and b in place]
        # Layers that people merged are no branch of the tree: what is missing merges last.
        led = {merged for _, merged in inside}
        roots = [index for index in range(len(members)) if index not in led]
        inside += [(roots[0], root) for root in roots[1:]]
        groups = cut_merges(inside, parts)
        return [
            tuple(members[index] for index in np.flatnonzero(groups == group))
            for group in np.unique(groups)
        ]

    def shares(
        self, divided: Sequence[Sequence[int]], photo: np.ndarray, small: np.ndarray
    ) -> np.ndarray:
        """How much of each pixel of a layer belongs to each of its groups.

        Args:
            divided: Of :meth:`divided`.
            photo: (H, W, 3) in [0, 1].
            small: (h, w, 3) the photo on the components' grid.

        Returns:
            (H, W, len(divided)) float32 in [0, 1], summing to one.
        """
        grouped = np.stack(
            [self.components[..., list(group)].sum(axis=2) for group in divided], axis=2
        ).clip(0, None)
        total = grouped.sum(axis=2, keepdims=True)
        even = np.float32(1 / len(divided))
        within = np.divide(grouped, total, out=np.full_like(grouped, even), where=total > 1e-3)
        if photo.shape[:2] != small.shape[:2]:
            within = enlarge_along_photo(within, small, photo)
        within = within.clip(0, 1)
        return within / np.maximum(within.sum(axis=2, keepdims=True), np.float32(1e-6))
