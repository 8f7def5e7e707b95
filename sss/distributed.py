"""Several processes started by torchrun: who does which photos, and how the first learns of all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from sss.errors import InputError, one_line

TIMEOUT = timedelta(days=7)
"""How long a process waits for the others: they may have slower photos by hours."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Rank:
    """One process's place among ``size``, of which ``local_size`` are on this machine.

    Which photos a process does follows from its place alone, so nothing has to be agreed on: a
    process that died and was started again goes on with what is missing of its own photos.
    """

    number: int = 0
    size: int = 1
    local_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the report."""
        return self.number == 0

    def part_of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every ``size``-th of the items: neighbours, often alike, go to different processes.

        For the same split in all processes, at all times, give them the same items: all, not those
        that are not done yet.
        """
        return items[self.number :: self.size]

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank, for the first one; the others get nothing.

        Waits until all have come here.

        Raises:
            InputError: The others cannot be reached.
        """
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        # Connected only now: lines that lie idle for hours are cut by some networks.
        try:
            dist.init_process_group("gloo", timeout=TIMEOUT)
        except (RuntimeError, ValueError) as error:
            raise not_found(self, error) from error
        values: list[Any] | None = [None] * self.size if self.is_first else None
        dist.gather_object(value, values, dst=0)
        dist.destroy_process_group()
        return values or []


def not_found(rank: Rank, error: Exception) -> InputError:
    """That the processes of which the environment speaks do not find each other."""
    return InputError(
        f"RANK and WORLD_SIZE say that this is one of {rank.size} processes, but they do not find "
        f"each other ({one_line(error)}); start them with torchrun"
    )


def current_rank() -> Rank:
    """The place that torchrun gave this process in the environment.

    Raises:
        InputError: It makes no sense.
    """
    number, size = _place("RANK", "WORLD_SIZE", 1)
    # Launchers that do not tell how many are on this machine may have put all of them there.
    _, local_size = _place("LOCAL_RANK", "LOCAL_WORLD_SIZE", size)
    return Rank(number, size, local_size)


def _place(rank_name: str, size_name: str, usual_size: int) -> tuple[int, int]:
    rank, size = os.environ.get(rank_name, "0"), os.environ.get(size_name, str(usual_size))
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        raise InputError(
            f"{rank_name} is '{rank}' and {size_name} '{size}'; start this with torchrun"
        )
    return int(rank), int(size)
