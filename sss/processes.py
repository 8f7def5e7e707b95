"""Tasks side by side, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sss.console import hide_library_warnings, set_up_console

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

KILLED = "its process was killed, most likely for lack of memory; give a smaller --max-side"


def map_processes(
    do: Callable[[Task], Outcome],
    tasks: Sequence[Task],
    jobs: int,
    *,
    start: Callable[..., None],
    arguments: tuple[Any, ...],
    killed: Callable[[Task], Outcome],
    tidy: Callable[[], None] = lambda: None,
    done: Callable[[Outcome], None] = lambda _outcome: None,
) -> list[Outcome]:
    """``[do(task) for task in tasks]`` in fresh processes, ``jobs`` at once.

    A system that runs out of memory kills a process, and its pool dies with it. Tasks are begun in
    order, so the first ``jobs`` of those left were at work. Each of them is done again alone; one
    whose process is killed again was to blame. The others then go on side by side.

    Args:
        do: A function of a module; what it takes and gives can be pickled.
        tasks: In the order in which they are begun.
        jobs: Processes at once.
        start: Called first in every process, with ``arguments``; it must not raise.
        arguments: Can be pickled.
        killed: The outcome of a task whose process was killed.
        tidy: Called when processes were ended: removes what they may have left.
        done: Called with each outcome, in the order in which they come.

    Returns:
        The outcomes, in the order of the tasks.

    Raises:
        Exception: Whatever ``do`` raised first; the other processes are ended.
    """
    outcomes: dict[int, Outcome] = {}

    def keep(number: int, outcome: Outcome) -> None:
        outcomes[number] = outcome
        done(outcome)

    def attempt(numbers: Sequence[int], jobs: int) -> list[int]:
        """Do tasks in a new pool; what is left of them if one of its processes was killed."""
        others = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(
            min(jobs, len(numbers)),
            multiprocessing.get_context("spawn"),
            initializer=_start_process,
            initargs=(start, arguments),
        )
        futures = {}
        try:
            with _interrupts_ignored(), suppress(BrokenProcessPool):
                for number in numbers:
                    futures[pool.submit(do, tasks[number])] = number
            for future in as_completed(futures):
                with suppress(BrokenProcessPool):
                    keep(futures[future], future.result())
        except BaseException:  # Ctrl-C above all: what the others are at takes too long to wait for
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            tidy()
        return [number for number in numbers if number not in outcomes]

    left = list(range(len(tasks)))
    while left:
        left = attempt(left, jobs)
        for suspect in left[:jobs]:
            if attempt([suspect], 1):
                keep(suspect, killed(tasks[suspect]))
        left = left[jobs:]
    return [outcomes[number] for number in range(len(tasks))]


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C from their first moment.

    A terminal sends it to all processes. Only the first one shall react, or each would print its
    own traceback.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start_process(start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which is not inherited on Windows
    threading.Thread(target=_end_with_parent, daemon=True).start()
    set_up_console()
    hide_library_warnings()
    start(*arguments)


def _end_with_parent() -> None:
    """Without the process that gives it work, this one would wait for ever, with all its memory."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    signal.raise_signal(signal.SIGTERM)


@contextmanager
def terminations_as_interrupts() -> Iterator[None]:
    """SIGTERM, which torchrun, batch systems and ``kill`` send, ends the work as Ctrl-C does.

    So what is half written is removed, and the processes beside this one are ended.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def peak_memory_mb() -> float | None:
    """Most memory this process has held so far, in MB (10⁶ bytes); None where nobody counts it."""
    if sys.platform == "linux":  # where getrusage may tell the peak of the parent process
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6, 1)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)
