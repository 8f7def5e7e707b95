"""What the tests of the spectral core share."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from sss.threads import set_thread_count

Result = TypeVar("Result")
Threads = Callable[[Callable[[], Result]], tuple[Result, Result]]


@pytest.fixture
def one_and_two_threads() -> Iterator[Threads]:
    """Calls a function on one thread and again on two; gives both results."""

    def call(function: Callable[[], Result]) -> tuple[Result, Result]:
        set_thread_count(1)
        alone = function()
        set_thread_count(2)
        return alone, function()

    yield call
    set_thread_count(None)
