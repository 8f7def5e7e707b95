"""Photos side by side, each in a process of its own on one thread."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from sss.cli import set_up_logging
from sss.errors import InputError

Task = TypeVar("Task", bound=Hashable)
Outcome = TypeVar("Outcome")

KILLED = "its process was killed, most likely for lack of memory; give a smaller --max-side"


class Processes(Generic[Task, Outcome]):
    """Runs a function over tasks in fresh processes.

    Args:
        do: Does one task; a function of a module, and what it returns can be pickled.
        killed: What to take for the outcome of a task whose process was killed.
        start: Called first in every process, with ``arguments``; it must not raise.
        arguments: Can be pickled.
        tidy: Called when processes were ended: removes what they may have left.
        done: Called for each task that is done, in the order in which they end.
    """

    def __init__(
        self,
        do: Callable[[Task], Outcome],
        killed: Callable[[Task], Outcome],
        start: Callable[..., None],
        arguments: tuple[Any, ...],
        tidy: Callable[[], None] = lambda: None,
        done: Callable[[Task, Outcome], None] = lambda _task, _outcome: None,
    ) -> None:
        self.do = do
        self.killed = killed
        self.start = start
        self.arguments = arguments
        self.tidy = tidy
        self.done = done

    def run(self, tasks: Sequence[Task], jobs: int) -> list[Outcome]:
        """Do ``tasks``, ``jobs`` at once; their outcomes come back in order.

        The kernel may kill a process for memory, and its pool dies with it. Which task was to blame
        nobody knows, so all that were not finished are done again one at a time; if the process is
        killed again, it was the first unfinished one.

        Raises:
            Exception: Whatever ``do`` raised first; the other processes are ended.
        """
        outcomes = self._in_pool(tasks, jobs)
        while rest := [task for task in tasks if task not in outcomes]:
            outcomes |= self._in_pool(rest, 1)
            culprit = next((task for task in rest if task not in outcomes), None)
            if culprit is not None:
                outcomes[culprit] = self.killed(culprit)
                self.done(culprit, outcomes[culprit])
        return [outcomes[task] for task in tasks]

    def _in_pool(self, tasks: Sequence[Task], jobs: int) -> dict[Task, Outcome]:
        """Outcomes of the tasks whose process lived to tell them."""
        outcomes: dict[Task, Outcome] = {}
        if not tasks:
            return outcomes
        pool = ProcessPoolExecutor(
            min(jobs, len(tasks)),
            multiprocessing.get_context("spawn"),
            initializer=_start_process,
            initargs=(self.start, self.arguments),
        )
        try:
            futures = {}
            with _interrupts_held_back(), suppress(BrokenProcessPool):
                for task in tasks:
                    futures[pool.submit(self.do, task)] = task
            for future in as_completed(futures):
                with suppress(BrokenProcessPool):
                    outcomes[futures[future]] = future.result()
                    self.done(futures[future], outcomes[futures[future]])
        except BaseException:  # Ctrl-C above all: what the others are at takes too long to wait for
            for process in multiprocessing.active_children():
                process.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            self.tidy()
        return outcomes


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Ctrl-C waits until the end; processes started inside never see it.

    A terminal sends it to all processes. Only this one shall react, or each would print its own
    traceback.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _start_process(start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    set_up_logging()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    start(*arguments)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let the numerical libraries use one thread.

    The order in which threads add up numbers shows in the last bits, which the eigenvectors then
    amplify: without this, layers would depend on the number of cores and on -j.
    """
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    with threadpool_limits(1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(threads)


def describe_failure(photo: object, error: Exception) -> str:
    """One line that names the photo, what went wrong and, where known, what to do."""
    message = " ".join(str(error).split())
    if isinstance(error, InputError):
        return message if str(photo) in message else f"{photo}: {message}"
    kind = type(error).__name__
    # torch.OutOfMemoryError, and torch's and C++'s bare RuntimeErrors about memory.
    if isinstance(error, MemoryError) or "memory" in message or "bad_alloc" in message:
        return f"{photo}: not enough memory; give a smaller --max-side or --device cpu"
    if isinstance(error, OSError):
        return f"{photo}: {error.filename or kind}: {error.strerror or message}"
    return f"{photo}: unexpected {kind}: {message}; please report it with the photo"
