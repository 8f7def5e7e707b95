import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from sss.threads import map_threads, set_thread_count, thread_count, threads_each


@pytest.fixture(autouse=True)
def _all_threads_again() -> Iterator[None]:
    yield
    set_thread_count(None)


def names_at_work(count: int) -> set[str]:
    """Threads that met while each held an item; waits until ``count`` of them have."""
    meeting = threading.Barrier(count, timeout=10)

    def meet(_: int) -> str:
        meeting.wait()
        return threading.current_thread().name

    return set(map_threads(meet, range(count)))


def test_unset_count_is_that_of_the_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert thread_count() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    assert thread_count() == 7
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert thread_count() == 1


def test_count_is_set_and_unset() -> None:
    set_thread_count(3)
    assert thread_count() == 3
    assert len(names_at_work(3)) == 3
    set_thread_count(5)
    assert thread_count() == 5
    assert len(names_at_work(5)) == 5
    set_thread_count(None)
    assert thread_count() >= 1


def test_one_thread_is_the_callers_own() -> None:
    set_thread_count(1)
    own = threading.current_thread().name
    names = map_threads(lambda _: threading.current_thread().name, range(4))
    assert names == [own] * 4


@pytest.mark.parametrize("count", [1, 2, 4])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    set_thread_count(count)

    def slow_at_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0.0)
        return item * item

    assert map_threads(slow_at_first, iter(range(9))) == [i * i for i in range(9)]
    assert map_threads(slow_at_first, []) == []
    assert map_threads(slow_at_first, [7]) == [49]


@pytest.mark.parametrize("count", [1, 2])
def test_calls_inside_calls_end(count: int) -> None:
    set_thread_count(count)

    def row(start: int) -> list[int]:
        return map_threads(lambda item: sum(map_threads(int, [start, item])), range(3))

    # In a thread of its own, so that a pool that waits for itself fails the test.
    found: list[list[list[int]]] = []
    worker = threading.Thread(target=lambda: found.append(map_threads(row, range(8))), daemon=True)
    worker.start()
    worker.join(10)
    assert found == [[[start + item for item in range(3)] for start in range(8)]]


def test_inner_calls_stay_in_their_thread() -> None:
    set_thread_count(2)

    def names(_: int) -> set[str]:
        inside = map_threads(lambda _: threading.current_thread().name, range(4))
        return {threading.current_thread().name, *inside}

    assert all(len(used) == 1 for used in map_threads(names, range(4)))


@pytest.mark.parametrize("count", [1, 2])
def test_exceptions_come_through(count: int) -> None:
    set_thread_count(count)

    def refuse(item: int) -> int:
        if item == 2:
            raise np.linalg.LinAlgError("item 2")
        return item

    with pytest.raises(np.linalg.LinAlgError, match="item 2"):
        map_threads(refuse, range(5))
    assert map_threads(refuse, [0, 1]) == [0, 1]  # and the pool lives on


def test_an_error_comes_when_no_other_item_is_at_work_any_more() -> None:
    set_thread_count(2)
    begun, ended = threading.Event(), threading.Event()

    def work(item: int) -> None:
        if item == 0:
            begun.wait(10)
            raise OSError("full")
        begun.set()
        time.sleep(0.2)
        ended.set()

    with pytest.raises(OSError, match="full"):
        map_threads(work, range(2))
    assert ended.is_set()


def test_threads_that_are_busy_elsewhere_are_not_waited_for() -> None:
    set_thread_count(2)
    begun, done = threading.Barrier(3, timeout=10), threading.Event()

    def work(_: int) -> None:
        begun.wait()
        done.wait(10)

    busy = threading.Thread(target=lambda: map_threads(work, range(2)))
    busy.start()
    begun.wait()
    assert map_threads(abs, range(-9, 0)) == list(range(9, 0, -1))
    assert busy.is_alive()
    done.set()
    busy.join(10)


@pytest.mark.parametrize(("processes", "each"), [(1, 5), (2, 2), (5, 1), (9, 1)])
def test_processes_share_the_threads(processes: int, each: int) -> None:
    set_thread_count(5)
    assert threads_each(processes) == each
