"""Edits made as far as they have not been made before."""

from __future__ import annotations

from dataclasses import dataclass, field

from sss.app.history import Edited
from sss.editing.draft import Draft
from sss.layers.soft_layers import Layers
from sss.layers.stack import Stack

_KEPT = 3
"""Drafts: the layers without edits, with those before the one at work, and with all."""


@dataclass
class Drafts:
    """Keeps the last drafts, so that a slider makes only its own edits anew.

    Not for several threads at once.
    """

    _kept: list[tuple[Layers, tuple[Edited, ...], Draft]] = field(default_factory=list)

    def after(self, layers: Layers, steps: tuple[Edited, ...]) -> Draft:
        """Layers after some edits.

        Args:
            layers: Of a photo.
            steps: Edits in their order.

        Raises:
            InputError: A step's layers do not exist.
        """
        made, draft = self._nearest(layers, steps)
        for count in range(made, len(steps)):
            draft = steps[count].step().apply(draft, layers)
            self._keep(layers, steps[: count + 1], draft)
        return draft

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()

    def _nearest(self, layers: Layers, steps: tuple[Edited, ...]) -> tuple[int, Draft]:
        """The draft that needs the fewest edits, and how many it has."""
        fitting = [
            entry for entry in self._kept if entry[0] is layers and _begin_with(steps, entry[1])
        ]
        if fitting:
            best = max(fitting, key=lambda entry: len(entry[1]))
            self._keep(*best)  # it is needed, so others go first
            return len(best[1]), best[2]
        draft = Draft.of(Stack.of(layers), live=True)
        self._keep(layers, (), draft)
        return 0, draft

    def _keep(self, layers: Layers, made: tuple[Edited, ...], draft: Draft) -> None:
        """Of other layers none is kept; of the same, the one without edits always."""
        kept = [entry for entry in self._kept if entry[0] is layers and entry[2] is not draft]
        first = [entry for entry in kept if not entry[1]]
        others = [entry for entry in kept if entry[1]]
        self._kept = [*first, *others[-(_KEPT - 2) :], (layers, made, draft)]


def _begin_with(steps: tuple[Edited, ...], made: tuple[Edited, ...]) -> bool:
    """By identity: photos of the same name behind a cut-out are not the same."""
    return len(made) <= len(steps) and all(a is b for a, b in zip(made, steps, strict=False))
