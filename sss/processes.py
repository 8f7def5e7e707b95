"""Photos side by side, each in a process of its own on one thread."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import Any, Generic, NoReturn, TypeVar

from sss.cli.common import set_up_logging
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

        The kernel may kill a process for memory, and its pool dies with it. Which of the tasks at
        work was to blame nobody knows, so each of them is done again alone; it is to blame if its
        process is killed again. The others then go on ``jobs`` at once.

        Raises:
            Exception: Whatever ``do`` raised first; the other processes are ended.
        """
        outcomes: dict[Task, Outcome] = {}
        waiting = deque(tasks)
        while waiting:
            suspects = deque(self._in_pool(waiting, jobs, outcomes))
            while suspects:
                for culprit in self._in_pool(suspects, 1, outcomes):
                    self._keep(outcomes, culprit, self.killed(culprit))
        return [outcomes[task] for task in tasks]

    def _in_pool(
        self, waiting: deque[Task], jobs: int, outcomes: dict[Task, Outcome]
    ) -> list[Task]:
        """Do the tasks that wait, until all are done or a process was killed.

        Returns:
            Those that were at work when one was killed, ``jobs`` at most.
        """
        running: dict[Future[Outcome], Task] = {}
        pool = ProcessPoolExecutor(
            min(jobs, len(waiting)),
            multiprocessing.get_context("spawn"),
            initializer=_start_process,
            initargs=(self.start, self.arguments),
        )
        try:
            whole = True
            while whole and (waiting or running):
                whole = self._submit(pool, waiting, running, jobs)
                whole = self._take_finished(running, outcomes) and whole
            wait(running)  # a process that was killed takes the others with it
            self._take_finished(running, outcomes)
        except BaseException:  # Ctrl-C above all: what the others are at takes too long to wait for
            for process in multiprocessing.active_children():
                process.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            self.tidy()
        return list(running.values())

    def _submit(
        self,
        pool: ProcessPoolExecutor,
        waiting: deque[Task],
        running: dict[Future[Outcome], Task],
        jobs: int,
    ) -> bool:
        """Keep ``jobs`` tasks at work, and no more: one that only waits cannot be to blame.

        Returns:
            Whether all processes are alive.
        """
        with suppress(BrokenProcessPool), _interrupts_held_back():
            while waiting and len(running) < jobs:
                running[pool.submit(self.do, waiting[0])] = waiting[0]
                waiting.popleft()
            return True
        return False

    def _take_finished(
        self, running: dict[Future[Outcome], Task], outcomes: dict[Task, Outcome]
    ) -> bool:
        """Wait for a task to end; whether all processes are alive."""
        whole = True
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            if isinstance(future.exception(), BrokenProcessPool):
                whole = False
            else:
                self._keep(outcomes, running.pop(future), future.result())
        return whole

    def _keep(self, outcomes: dict[Task, Outcome], task: Task, outcome: Outcome) -> None:
        outcomes[task] = outcome
        self.done(task, outcome)


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
    atexit.register(end_process, 0)  # called last, since what registers first is called last
    threading.Thread(target=_end_with_parent, daemon=True).start()
    set_up_logging()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    start(*arguments)


def _end_with_parent() -> None:
    """Without the process that gives it work, this one would wait for ever, with all its memory."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def end_process(code: int) -> NoReturn:
    """Leave the program at once: taking torch apart object by object lasts a second and more.

    For the end of a script, when all files are written and all threads are done.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


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
