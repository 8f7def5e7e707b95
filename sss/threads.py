"""How many threads this process may use, for work whose result does not depend on their number."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_count: int | None = None
_pool: ThreadPoolExecutor | None = None
_inside = threading.local()


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
    global _count, _pool
    _count = count
    if _pool is not None:
        _pool.shutdown()
        _pool = None


def threads_each(processes: int) -> int:
    """Threads of each of so many processes that share the threads of this one."""
    return max(1, thread_count() // processes)


def map_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """``[function(item) for item in items]``, several at once.

    For functions that let go of Python's lock: NumPy, BLAS, Numba's ``nogil``, image codecs. Every
    item is worked on by one thread alone, the caller's own or one of a pool, so the number of
    threads does not show in the results. Inside such a function, this is a plain loop. After an
    error no further item is begun, and it is raised when those at work have ended.
    """
    global _pool
    items = list(items)
    count = min(thread_count(), len(items))
    if count < 2 or getattr(_inside, "map", False):
        return [function(item) for item in items]
    if _pool is None:
        _pool = ThreadPoolExecutor(thread_count() - 1)
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}
    waiting = deque(enumerate(items))
    others: list[Future[None]] = []

    def work() -> None:
        """Take items until none is left: a future for each would cost more than a small item."""
        try:
            _inside.map = True
            while True:
                try:
                    index, item = waiting.popleft()
                except IndexError:
                    return
                try:
                    results[index] = function(item)
                except BaseException as error:
                    waiting.clear()
                    errors[index] = error
        finally:
            _inside.map = False

    def settle() -> None:
        """Wait for the items at work, not for threads that have not woken up yet."""
        waiting.clear()
        wait([other for other in others if not other.cancel()])

    try:
        for _ in range(count - 1):
            others.append(_pool.submit(work))
        work()
        settle()
    finally:
        # Again, where Ctrl-C ended the waiting: nothing may be at work when the caller tidies up.
        settle()
    if errors:
        # An interruption comes before errors, and these in the order of their items.
        first = min(errors, key=lambda index: (isinstance(errors[index], Exception), index))
        try:
            raise errors[first]
        finally:
            errors.clear()  # they hold this frame, and it would hold them
    return [results[index] for index in range(len(items))]


@contextmanager
def beside(function: Callable[[], object]) -> Iterator[None]:
    """Run ``function`` in a thread of its own while the block goes on.

    The block is left when both have ended; its own error comes before that of ``function``.
    """
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(function)
        yield
        running.result()


def slices(count: int, size: int, start: int = 0) -> list[slice]:
    """Consecutive slices of ``size``, the last may be shorter, from ``start`` to ``count``."""
    return [slice(first, min(first + size, count)) for first in range(start, count, size)]
