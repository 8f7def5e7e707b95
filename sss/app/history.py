"""What a user has done, as states to go back and forth between."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sss.editing.recipe import Step
from sss.editing.selection import Selection
from sss.spectral.settings import LAYERS

Numbers = tuple[int, ...]
"""Of layers, ascending."""

GESTURE_SECONDS = 1.5
"""Changes of the same slider within this time are undone together."""

MOST_STATES = 200
"""Older states are forgotten."""


@dataclass(frozen=True)
class Edited:
    """Edits of some layers.

    Attributes:
        numbers: Of the layers.
        edits: Parsed values by name, see :data:`sss.editing.edits.EDITS`.
        depth: See :class:`sss.editing.recipe.Step`.
    """

    numbers: Numbers
    edits: Mapping[str, Any]
    depth: str = "auto"

    def step(self) -> Step:
        """As recipes have it."""
        return Step(Selection.parse({"layers": list(self.numbers)}), self.edits, self.depth)


@dataclass(frozen=True)
class State:
    """All that undo brings back.

    Attributes:
        count: Layers asked for, 1 to 40, or ``auto``.
        arrange: Layers merged and divided since, see :class:`sss.editing.recipe.Recipe`.
        steps: Edits in their order, one for each selection that was edited.
        selected: Layers that are selected.
    """

    count: int | Literal["auto"] = LAYERS
    arrange: tuple[tuple[str, Any], ...] = ()
    steps: tuple[Edited, ...] = ()
    selected: Numbers = ()

    def current(self) -> Edited:
        """The edits of what is selected; empty ones where there are none yet."""
        found = [step for step in self.steps if step.numbers == self.selected]
        return found[0] if found else Edited(self.selected, {})

    def with_current(self, edited: Edited) -> State:
        """With other edits of what is selected; empty ones are left out."""
        steps = [edited if step.numbers == edited.numbers else step for step in self.steps]
        if edited not in steps:
            steps.append(edited)
        return replace(self, steps=tuple(step for step in steps if step.edits))

    def moved(self, find: Callable[[Numbers], Numbers], **changes: Any) -> State:
        """On other layers: edits and selection follow what they were on.

        Args:
            find: Numbers of layers before → after.
            **changes: Other attributes.
        """
        steps: dict[Numbers, Edited] = {}
        for step in self.steps:
            numbers = find(step.numbers)
            before = steps[numbers].edits if numbers in steps else {}
            steps[numbers] = replace(step, numbers=numbers, edits={**before, **step.edits})
        selected = find(self.selected) if self.selected else ()
        return replace(self, steps=tuple(steps.values()), selected=selected, **changes)


@dataclass
class History:
    """States before and after the present one.

    Attributes:
        present: The state there is now.
    """

    present: State = field(default_factory=State)
    _past: list[State] = field(default_factory=list)
    _future: list[State] = field(default_factory=list)
    _gesture: tuple[Hashable, float] = (None, 0.0)

    def go_on(self, state: State, gesture: Hashable = None) -> None:
        """Make a state the present one.

        Args:
            state: New.
            gesture: Names what is being changed; changes of the same within
                :data:`GESTURE_SECONDS` are one to undo. None is always one of its own.
        """
        if state == self.present:
            return
        now = time.monotonic()
        last, when = self._gesture
        if gesture is None or gesture != last or now - when > GESTURE_SECONDS:
            self._past = [*self._past, self.present][-MOST_STATES:]
        self._gesture = (gesture, now)
        self._future.clear()
        self.present = state

    def select(self, numbers: Numbers) -> None:
        """Select layers: nothing that would have to be undone."""
        self.present = replace(self.present, selected=numbers)
        self._gesture = (None, 0.0)

    @property
    def can_undo(self) -> bool:
        """Whether there is a state before this one."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a state after this one."""
        return bool(self._future)

    def undo(self) -> None:
        """Go back, if that is possible."""
        if self._past:
            self._future.append(self.present)
            self.present = self._past.pop()
            self._gesture = (None, 0.0)

    def redo(self) -> None:
        """Go forth again, if that is possible."""
        if self._future:
            self._past.append(self.present)
            self.present = self._future.pop()
            self._gesture = (None, 0.0)
