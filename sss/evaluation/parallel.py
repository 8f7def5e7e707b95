"""The photos of a run, one after the other or side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sss.evaluation.cache import Cache
from sss.evaluation.plan import Plan
from sss.evaluation.work import Looked, PhotoWork
from sss.processes import KILLED, Processes
from sss.threads import set_thread_count, threads_each

Outcome = TypeVar("Outcome")
Done = Callable[[int], None]
"""Called with each photo that is done."""

QUICK = 32
"""So many photos are looked at before other processes have even started."""


def look_at_photos(plan: Plan, photos: Sequence[int], jobs: int, done: Done) -> list[Looked]:
    """:meth:`PhotoWork.look` of all ``photos``."""
    return _run(
        PhotoWork.look,
        _look,
        lambda index: Looked(failure=f"{PhotoWork(plan).name(index)}: {KILLED}"),
        *(plan, photos, jobs if len(photos) > QUICK else 1, done),
    )


def do_photos(plan: Plan, photos: Sequence[int], jobs: int, done: Done) -> list[list[str]]:
    """:meth:`PhotoWork.do` of all ``photos``.

    Raises:
        InputError: A model cannot be loaded.
    """
    return _run(
        PhotoWork.do,
        _do,
        lambda index: [f"{PhotoWork(plan).name(index)}: {KILLED}"],
        *(plan, photos, jobs, done),
    )


def _run(
    here: Callable[[PhotoWork, int], Outcome],
    there: Callable[[int], Outcome],
    killed: Callable[[int], Outcome],
    plan: Plan,
    photos: Sequence[int],
    jobs: int,
    done: Done,
) -> list[Outcome]:
    """Call a method for all photos: ``here`` in this process, or ``there`` in others."""
    if jobs == 1 or len(photos) < 2:
        work = PhotoWork(plan)
        outcomes = []
        for index in photos:
            outcomes.append(here(work, index))
            done(index)
        return outcomes
    processes: Processes[int, Outcome] = Processes(
        there,
        killed,
        _start,
        (plan, threads_each(jobs)),
        Cache(plan.cache).tidy,
        lambda index, _: done(index),
    )
    return processes.run(photos, jobs)


_work: PhotoWork | None = None


def _start(plan: Plan, threads: int) -> None:
    global _work
    set_thread_count(threads)
    _work = PhotoWork(plan)


def _look(index: int) -> Looked:
    assert _work is not None
    return _work.look(index)


def _do(index: int) -> list[str]:
    assert _work is not None
    return _work.do(index)
