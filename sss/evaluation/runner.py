"""All photos of a run, one after the other or side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sss.evaluation.cache import Cache
from sss.evaluation.plan import Plan
from sss.evaluation.work import PhotoResult, PhotoWork, failed_photo
from sss.processes import KILLED, map_processes
from sss.threads import set_thread_count, threads_each


def run_photos(
    plan: Plan,
    photos: Sequence[tuple[int, str]],
    jobs: int = 1,
    done: Callable[[PhotoResult], None] = lambda _: None,
) -> list[PhotoResult]:
    """Measure all entries of a plan on photos, each decoded once.

    Args:
        plan: Of the run.
        photos: Places in the data set, and names.
        jobs: Photos done at once, each in a process of its own.
        done: Called for each photo that is done, in the order in which they end.

    Returns:
        What came of each photo, in order.

    Raises:
        InputError: A model cannot be loaded, or results cannot be kept.
    """
    Cache(plan.cache).tidy()
    if jobs == 1 or len(photos) < 2:
        work = PhotoWork(plan)
        results = []
        for index, _ in photos:
            results.append(work(index))
            done(results[-1])
        return results
    return map_processes(
        _do,
        photos,
        jobs,
        start=_start,
        arguments=(plan, threads_each(jobs)),
        killed=lambda photo: failed_photo(plan, photo[1], f"{photo[1]}: {KILLED}"),
        tidy=Cache(plan.cache).tidy,
        done=done,
    )


_work: PhotoWork | None = None


def _start(plan: Plan, threads: int) -> None:
    global _work
    set_thread_count(threads)
    _work = PhotoWork(plan)


def _do(photo: tuple[int, str]) -> PhotoResult:
    assert _work is not None
    return _work(photo[0])
