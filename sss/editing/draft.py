"""A photo under edit: its layers as planes that add up, and what lies behind them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np

from sss.editing.adjust import Adjustment, Spread, matched
from sss.layers.fill import continued_behind
from sss.layers.stack import Stack

Depth = Literal["front", "behind"]
DEPTHS = ("auto", "front", "behind")

_LEAST_ALPHA = np.float32(1 / 4096)
_BEHIND_SHARE = 0.5
"""Share of the photo's border from which on a selection is taken to lie behind the rest."""

Filter = Callable[[np.ndarray], np.ndarray]
"""Changes a premultiplied plane (H, W, 4)."""


class Behind:
    """Layers continued behind others, kept as long as the same ones are asked for."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[np.ndarray, ...], np.ndarray] | None = None

    def of(self, planes: tuple[np.ndarray, ...], alpha: np.ndarray) -> np.ndarray:
        """(K, H, W, 4) planes continued, see :func:`sss.layers.fill.continued_behind`.

        Args:
            planes: K of (H, W, 4), which nobody changes in place.
            alpha: (H, W) sum of theirs.
        """
        kept = self._kept  # read once: several threads may edit
        same = kept is not None and len(kept[0]) == len(planes)
        if kept and same and all(a is b for a, b in zip(kept[0], planes, strict=True)):
            return kept[1]
        continued = continued_behind(np.stack(planes), alpha.clip(0, 1))
        self._kept = planes, continued
        return continued


@dataclass(frozen=True)
class Draft:
    """Layers between edits; each edit gives a new draft and shares what it leaves alone.

    Attributes:
        planes: K of (H, W, 4) float32, premultiplied; their alphas sum to at most one.
        names: K names.
        profile: See :class:`sss.layers.stack.Stack`.
        backdrop: (H, W, 3) encoded colours behind all layers, or None: nothing is there.
        behind: Where what was last continued behind layers is kept for the next edit of the same
            ones; None keeps nothing.
    """

    planes: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    profile: bytes | None = None
    backdrop: np.ndarray | None = None
    behind: Behind | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, stack: Stack, *, live: bool = False) -> Draft:
        """Begin with a photo's layers.

        Args:
            stack: The layers.
            live: Edits follow one another at a slider's pace, and are quicker for the memory of
                about a second copy of the layers.
        """
        behind = Behind() if live else None
        return cls(tuple(stack.planes), stack.names, stack.profile, behind=behind)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.planes[0].shape[0], self.planes[0].shape[1]

    def alpha(self, chosen: Sequence[int]) -> np.ndarray:
        """(H, W) sum of the chosen layers' alphas."""
        return self.union(chosen)[..., 3]

    def union(self, chosen: Sequence[int]) -> np.ndarray:
        """(H, W, 4) sum of the chosen layers."""
        total = np.zeros_like(self.planes[0])
        for number in chosen:
            total += self.planes[number]
        return total

    def depth(self, chosen: Sequence[int]) -> Depth:
        """``behind`` for what holds at least half of the photo's border, else ``front``."""
        alpha = self.alpha(chosen)
        border = np.concatenate([alpha[0], alpha[-1], alpha[1:-1, 0], alpha[1:-1, -1]])
        return "behind" if border.mean() >= _BEHIND_SHARE else "front"

    def adjusted(self, chosen: Sequence[int], adjustment: Adjustment) -> Draft:
        """Change the colours of layers, each pixel by itself."""
        mean = None
        if adjustment.recolor is not None:
            mean = self._spread(chosen).mean
        return self._recoloured(chosen, lambda colours: adjustment(colours, mean))

    def matched(self, chosen: Sequence[int], strength: float) -> Draft:
        """Bring the mean and deviation of layers' colours nearer to those of what is behind them.

        Args:
            chosen: Of these layers.
            strength: 0 … 1.
        """
        others = self._others(chosen)
        if self.backdrop is not None:
            pixels = self.backdrop.reshape(-1, 3)
            behind = Spread.of(pixels, np.ones(len(pixels), np.float32))
        elif self.alpha(others).any():
            behind = self._spread(others)
        else:
            return self
        own = self._spread(chosen)
        return self._recoloured(chosen, lambda colours: matched(colours, own, behind, strength))

    def filtered(self, chosen: Sequence[int], filter_: Filter, depth: Depth) -> Draft:
        """Blur layers.

        In front, the blur also softens the outline, and what it uncovers is filled from behind.
        Behind, each layer keeps its outline: inside, colours are mixed with those of the chosen
        layers only.
        """
        if depth == "front":
            return self._in_front(chosen, filter_)
        blurred = filter_(self.union(chosen))
        weight = np.maximum(blurred[..., 3:], np.float32(1e-9))
        mixed = (blurred[..., :3] / weight).clip(0, 1)
        return self._with(
            {
                number: np.concatenate(
                    [mixed * self.planes[number][..., 3:], self.planes[number][..., 3:]], axis=2
                )
                for number in chosen
            }
        )

    def sharpened(self, chosen: Sequence[int], amount: float, blur: Filter) -> Draft:
        """Unsharp mask: add ``amount`` times what a blur takes away; outlines stay."""
        union = self.union(chosen)
        blurred = blur(union)
        own = union[..., :3] / np.maximum(union[..., 3:], np.float32(1e-9))
        soft = blurred[..., :3] / np.maximum(blurred[..., 3:], np.float32(1e-9))
        detail = (own - soft) * np.float32(amount)
        changed = {}
        for number in chosen:
            alpha = self.planes[number][..., 3:]
            colours = self.planes[number][..., :3] + detail * alpha
            changed[number] = np.concatenate([colours.clip(0, alpha), alpha], axis=2)
        return self._with(changed)

    def warped(self, chosen: Sequence[int], matrix: np.ndarray, depth: Depth) -> Draft:
        """Move, scale or mirror layers.

        Args:
            chosen: Layers.
            matrix: (2, 3): where a point (x, y, 1) of a layer goes.
            depth: In front, the outline moves too, and what it uncovers is filled from behind;
                behind, the layers continue below the others and move there.
        """
        size = self.size[::-1]

        def warp(plane: np.ndarray, border: int) -> np.ndarray:
            return cv2.warpAffine(plane, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)

        if depth == "front":
            return self._in_front(chosen, lambda plane: warp(plane, cv2.BORDER_CONSTANT))
        alpha = self.alpha(chosen)
        planes = np.stack([self.planes[number] for number in chosen])
        continued = continued_behind(planes, alpha.clip(0, 1))
        return self._with(
            {
                number: warp(plane, cv2.BORDER_REFLECT_101) * alpha[..., None]
                for number, plane in zip(chosen, continued, strict=True)
            }
        )

    def faded(self, chosen: Sequence[int], opacity: float, depth: Depth) -> Draft:
        """Make layers transparent; behind those in front the others show, filled.

        Args:
            chosen: Layers.
            opacity: 0 (gone) … 1.
            depth: Of the chosen layers.
        """
        if depth == "front":
            return self._in_front(chosen, lambda plane: plane * np.float32(opacity))
        return self._with({number: self.planes[number] * np.float32(opacity) for number in chosen})

    def on(self, chosen: Sequence[int], backdrop: np.ndarray | None) -> Draft:
        """The chosen layers alone, on a backdrop.

        Args:
            chosen: Layers.
            backdrop: (H, W, 3) encoded colours; None: on nothing, transparent.
        """
        nothing = np.zeros_like(self.planes[0])
        kept = self._with(dict.fromkeys(self._others(chosen), nothing))
        return replace(kept, backdrop=backdrop)

    def stack(self) -> Stack:
        """The layers that are left, the backdrop as the lowest one."""
        planes, names = [], []
        if self.backdrop is not None:
            everything = range(len(self.planes))
            shows = (1 - self.alpha(everything)).clip(0, 1)[..., None]
            planes.append(np.concatenate([self.backdrop * shows, shows], axis=2))
            names.append("backdrop")
        for plane, name in zip(self.planes, self.names, strict=True):
            if plane[..., 3].any():
                planes.append(plane)
                names.append(name)
        if not planes:
            planes, names = [self.planes[0]], [self.names[0]]
        return Stack(np.stack(planes), tuple(names), self.profile)

    def _in_front(self, chosen: Sequence[int], change: Filter) -> Draft:
        """Change layers; the others continue behind them and show where these no longer are."""
        others = self._others(chosen)
        before = self.alpha(chosen)
        changed = {number: change(self.planes[number]) for number in chosen}
        after = np.sum([plane[..., 3] for plane in changed.values()], axis=0)
        if others:
            planes = tuple(self.planes[number] for number in others)
            # What is lacking behind is lacking everywhere: transparent photos stay so.
            there = self.alpha(others)
            continued = (self.behind or Behind()).of(planes, there)
            lacking = (1 - before - there).clip(0, 1)
            room = ((1 - after) * (1 - lacking)).clip(0, 1)[..., None]
            changed |= {
                number: plane * room for number, plane in zip(others, continued, strict=True)
            }
        return self._with(changed)

    def _recoloured(self, chosen: Sequence[int], change: Filter) -> Draft:
        """Change straight colours (N, 3) where layers are."""
        changed = {}
        for number in chosen:
            plane = self.planes[number].copy()
            there = plane[..., 3] > _LEAST_ALPHA
            alpha = plane[there][:, 3:]
            plane[there, :3] = change(plane[there][:, :3] / alpha) * alpha
            changed[number] = plane
        return self._with(changed)

    def _spread(self, chosen: Sequence[int]) -> Spread:
        """Of the layers' colours."""
        union = self.union(chosen)
        there = union[..., 3] > _LEAST_ALPHA
        found = union[there]
        return Spread.of((found[:, :3] / found[:, 3:]).clip(0, 1), found[:, 3])

    def _others(self, chosen: Sequence[int]) -> list[int]:
        return [number for number in range(len(self.planes)) if number not in chosen]

    def _with(self, changed: dict[int, np.ndarray]) -> Draft:
        planes = tuple(
            changed.get(number, plane).astype(np.float32, copy=False)
            for number, plane in enumerate(self.planes)
        )
        return replace(self, planes=planes)
