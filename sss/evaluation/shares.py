"""Several processes started by torchrun: who does which photos, and how the first learns of all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from sss.errors import InputError

PATIENCE = timedelta(days=7)
"""How long a process waits for the others: they may have slower photos by hours."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """One process's place among ``size``."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the report."""
        return self.rank == 0

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every ``size``-th of the items: neighbours, often alike, go to different processes."""
        return items[self.rank :: self.size]

    def gather(self, part: Any) -> list[Any]:
        """What all processes have, by rank, for the first one; the others get nothing.

        Waits until all have come here.

        Raises:
            InputError: The others cannot be reached.
        """
        if self.size == 1:
            return [part]
        import torch.distributed as dist

        # Connected only now: lines that lie idle for hours are cut by some networks.
        try:
            dist.init_process_group("gloo", timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"RANK and WORLD_SIZE say that this is one of {self.size} processes, but they do "
                f"not find each other ({reason}); start them with torchrun"
            ) from error
        parts: list[Any] | None = [None] * self.size if self.first else None
        dist.gather_object(part, parts, dst=0)
        dist.destroy_process_group()
        return parts or []


def own_share() -> Share:
    """The place that torchrun gave this process in the environment.

    Raises:
        InputError: It makes no sense.
    """
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        raise InputError(f"RANK is '{rank}' and WORLD_SIZE '{size}'; start this with torchrun")
    return Share(int(rank), int(size))
