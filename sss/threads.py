"""How many threads this process may use, for work whose result does not depend on their number."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_count: int | None = None
_pool: ThreadPoolExecutor | None = None
_thread = threading.local()


def thread_count() -> int:
    """Threads that this process may use: all cores it may run on, unless set otherwise."""
    if _count is not None:
        return _count
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_thread_count(count: int | None) -> None:
    """Let this process use ``count`` threads; None means all cores again."""
    global _count, _pool
    _count = count
    if _pool is not None:
        _pool.shutdown()
        _pool = None


def threads_each(processes: int) -> int:
    """Threads of each of so many processes that divide the threads of this one among them."""
    return max(1, thread_count() // processes)


def map_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """``[function(item) for item in items]``, several at once.

    For functions that release Python's lock: NumPy, BLAS, Numba's ``nogil``, image codecs. Each
    item is worked on by one thread alone, so the number of threads does not show in the results. A
    call inside of ``function`` is a plain loop. After an error no further item is begun, and it is
    raised when the items at work are done.
    """
    global _pool
    items = list(items)
    count = min(thread_count(), len(items))
    if count < 2 or getattr(_thread, "maps", False):
        return [function(item) for item in items]
    if _pool is None:
        _pool = ThreadPoolExecutor(thread_count() - 1)  # the calling thread works too
    waiting = deque(enumerate(items))
    results: list[Any] = [None] * len(items)

    def work() -> None:
        """Take items until none is left: a future for each would cost more than a small item."""
        _thread.maps = True
        try:
            while True:
                try:
                    index, item = waiting.popleft()
                except IndexError:
                    return
                results[index] = function(item)
        finally:
            waiting.clear()
            _thread.maps = False

    others = [_pool.submit(work) for _ in range(count - 1)]
    try:
        work()
    finally:
        at_work = [other for other in others if not other.cancel()]
        wait(at_work)
    for other in at_work:
        other.result()
    return results


@contextmanager
def one_thread() -> Iterator[None]:
    """Let the numerical libraries that are loaded (BLAS, OpenMP) use one thread.

    The order in which threads add up numbers shows in the last bits, which the eigenvectors then
    amplify: without this, layers would depend on the number of cores and on -j.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def slices(count: int, size: int, start: int = 0) -> list[slice]:
    """Consecutive slices of ``size``, the last may be shorter, from ``start`` to ``count``."""
    return [slice(first, min(first + size, count)) for first in range(start, count, size)]
