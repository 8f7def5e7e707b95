import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sss.app import serve
from sss.app.options import AppOptions, free_port, parse_options
from sss.errors import InputError

ROOT = Path(__file__).parents[2]


def test_defaults() -> None:
    assert parse_options([]) == AppOptions([])
    assert AppOptions([]).host == "127.0.0.1"


def test_photos_and_folders(photo: Path) -> None:
    assert parse_options([str(photo.parent)]).photos == [photo]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["missing.png"], "missing.png does not exist"),
        (["--port", "0"], "--port is 0, expected 1 to 65535"),
        (["--port", "x"], "invalid int value"),
        (["--max-megapixels", "0"], "--max-megapixels is 0"),
        (["--max-upload", "nan"], "--max-upload is nan"),
        (["--share"], "unrecognized arguments"),
    ],
)
def test_bad_options_are_one_line(arguments: list[str], expected: str) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        parse_options(arguments)
    assert "\n" not in str(caught.value)


def test_a_port_in_use_and_a_host_of_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen at 127.0.0.1 port {port}"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", port) == port
    assert free_port("127.0.0.1", None) >= 7860
    with pytest.raises(InputError, match="--host"):
        free_port("192.0.2.1", None)  # of documentation, RFC 5737: nobody's
    with pytest.raises(InputError, match="no address of this machine"):
        free_port("no such host", None)


def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda _name: None)
    assert serve.main([]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install 'semantic-soft-segmentation[app]'" in said


def test_examples_are_offered_where_they_are(monkeypatch: pytest.MonkeyPatch, photo: Path) -> None:
    names = [path.name for path in serve.offered_photos(AppOptions([]))]
    assert names == ["coffee.png", "cat.png"]
    assert serve.offered_photos(AppOptions([photo])) == [photo]
    monkeypatch.setattr(serve, "_CHECKOUT", photo.parent)
    assert serve.offered_photos(AppOptions([])) == []


@pytest.mark.slow
def test_the_script_says_what_is_wrong_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "app.py", "missing.png"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 2
    assert done.stderr == "error: missing.png does not exist; check the path\n"
