import logging
from collections.abc import Iterator

import pytest

from sss.console import _LineFormatter, run_main
from sss.errors import InputError, as_text, printable


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """Whatever run_main sets up, other tests shall not see."""
    level = logging.getLogger("sss").level
    yield
    logging.getLogger("sss").setLevel(level)


def raising(error: BaseException):
    def main() -> int:
        raise error

    return main


@pytest.mark.parametrize("code", [0, 2])
def test_exit_code_of_main(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(lambda: code) == code
    assert capsys.readouterr().err == ""


def test_input_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(raising(InputError("no photo at x.png;\n   give another"))) == 2
    shown = capsys.readouterr()
    assert shown.err == "error: no photo at x.png; give another\n"
    assert shown.out == ""


def test_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError(), SystemExit(0)])
def test_bugs_are_not_hidden(error: BaseException) -> None:
    with pytest.raises(type(error)):
        run_main(raising(error))


def test_an_input_error_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("é 好 👩‍👩‍👧.jpg", "é 好 👩‍👩‍👧.jpg", "é 好 👩‍👩‍👧.jpg"),
        ("caf\udce9", "caf\\xe9", "caf\\xe9"),
        ("\ud800", "\\ud800", "\\ud800"),  # of JSON, say; no bytes stand behind it
        ("a\nb\x1b[2J\x9b", "a\nb\x1b[2J\x9b", "a\\nb\\x1b[2J\\x9b"),
        ("c:\\x", "c:\\x", "c:\\x"),
    ],
)
def test_names_on_the_screen(name: str, text: str, shown: str) -> None:
    assert as_text(name) == text
    assert printable(name) == printable(text) == shown


def test_the_log_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.makeLogRecord({"msg": "%s:\nsmall", "args": ("a\x1b[2J.jpg",)})
    assert _LineFormatter().format(record) == "a\\x1b[2J.jpg:\nsmall"
