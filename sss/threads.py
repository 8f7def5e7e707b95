"""How many threads this process may use, for work whose result does not depend on their number."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_count: int | None = None


def thread_count() -> int:
    """Threads that this process may use: all cores it may run on, unless set otherwise."""
    if _count is not None:
        return _count
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_thread_count(count: int | None) -> None:
    """Let this process use ``count`` threads; None means all cores again.

    Processes that work side by side share the cores, so each is given its part.
    """
    global _count
    _count = count


def map_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """``[function(item) for item in items]``, several at once.

    For functions that let go of Python's lock: NumPy, BLAS, Numba's ``nogil``, image codecs. Every
    item is worked on by one thread alone, so the number of threads does not show in the results.
    """
    items = list(items)
    count = min(thread_count(), len(items))
    if count < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, items))
