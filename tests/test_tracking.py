import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sss import tracking
from sss.errors import InputError
from sss.tracking import NoTracker, WandbTracker, open_tracker

REPOSITORY = Path(__file__).parents[1]

RUN = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
from pathlib import Path
import numpy as np
from sss.tracking import open_tracker
folder = Path("my run")
tracker = open_tracker("auto", "tests", folder, {"optim": {"lr": 0.0625}})
tracker.log(0, {"loss": 0.5})
tracker.log(0, {"val_pair_auc": 0.75})
tracker.pictures(0, {"features 7": np.full((20, 30, 3), (9, 99, 199), np.uint8)})
tracker.table(0, "regions", [{"entry": "sss", "pri": 0.5}, {"entry": "fh", "pri": None}])
tracker.table(0, "nothing", [])
tracker.log(1, {"loss": 0.25})
(folder / "best.safetensors").write_bytes(b"the weights")
(folder / "best.json").write_text("the side file")
tracker.best(1, folder / "best.safetensors", {"val_pair_auc": 0.75})
tracker.finish()
"""

ONLINE = """
import sys
from pathlib import Path
from sss.console import run_main
from sss.tracking import open_tracker
sys.exit(run_main(lambda: open_tracker("auto", "tests", Path("my run"), {}) and 0))
"""

ASK = "from sss.tracking import _logged_in; print(_logged_in())"

KEY = "0123456789abcdef" * 2 + "01234567"


class Network:
    """A proxy that answers nobody, but knows whether anybody came."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def was_used(self) -> bool:
        try:
            connection, _ = self.socket.accept()
        except BlockingIOError:
            return False
        connection.close()
        return True


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.socket.close()


def python(
    code: str, home: Path, network: Network, **variables: str
) -> subprocess.CompletedProcess:
    """Run code in a fresh process, in the home of somebody new to W&B."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") and k != "NETRC"}
    kept["WANDB_BASE_URL"] = "https://wandb.example.org"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "https_proxy"), network.address)
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=home,
        env={**kept, **proxies, "HOME": str(home), "PYTHONPATH": str(REPOSITORY), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_disabled_does_nothing(tmp_path: Path) -> None:
    tracker = open_tracker("disabled", "tests", tmp_path, {})
    assert type(tracker) is NoTracker
    tracker.log(1, {"loss": 0.5})
    tracker.pictures(1, {"photo": np.zeros((2, 2, 3), np.uint8)})
    tracker.table(1, "regions", [{"entry": "sss"}])
    tracker.best(1, tmp_path / "best.safetensors", {})
    tracker.finish()
    assert list(tmp_path.iterdir()) == []


def test_disabled_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert type(open_tracker("auto", "tests", tmp_path, {})) is NoTracker


@pytest.mark.slow
def test_auto_without_login_is_offline_and_quiet(tmp_path: Path, network: Network) -> None:
    (tmp_path / "my run").mkdir()
    done = python(RUN, tmp_path, network)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Weights & Biases: nobody is logged in, the run is kept in my run/wandb")
    run_id = (tmp_path / "my run" / "wandb" / "run_id").read_text()
    (run,) = (tmp_path / "my run" / "wandb").glob(f"offline-run-*-{run_id}")
    stored = (run / f"run-{run_id}.wandb").read_bytes()
    for text in ("my run", "0.0625", "val_pair_auc", "0.75", f"model-{run_id}", "best.safetensors"):
        assert text.encode() in stored, text
    if commit := tracking.git_state().get("commit"):
        assert commit.encode() in stored
    (picture,) = (run / "files" / "media" / "images").glob("features 7*.png")
    assert Image.open(picture).getpixel((29, 19)) == (9, 99, 199)
    (table,) = (run / "files" / "media" / "table").glob("regions*.json")
    content = json.loads(table.read_text())
    assert content["columns"] == ["entry", "pri"]
    assert content["data"] == [["sss", 0.5], ["fh", None]]
    staged = (tmp_path / ".local/share/wandb/artifacts/staging").iterdir()
    assert {file.read_bytes() for file in staged} >= {b"the weights", b"the side file"}
    assert not network.was_used()


@pytest.mark.slow
def test_online_without_network_ends_with_one_line(tmp_path: Path, network: Network) -> None:
    (tmp_path / "my run").mkdir()
    done = python(ONLINE, tmp_path, network, WANDB_API_KEY=KEY, WANDB_INIT_TIMEOUT="1")
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "Weights & Biases: " in line
    assert "give --log.wandb offline or disabled" in line
    assert network.was_used()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "netrc", "expected"),
    [
        ({"WANDB_API_KEY": KEY}, "", "True"),
        ({}, f"machine wandb.example.org\n  login user\n  password {KEY}\n", "True"),
        ({"WANDB_API_KEY": KEY, "WANDB_MODE": "offline"}, "", "False"),
    ],
)
def test_login_is_found_without_asking(
    tmp_path: Path, network: Network, variables: dict[str, str], netrc: str, expected: str
) -> None:
    if netrc:
        (tmp_path / ".netrc").write_text(netrc)
        (tmp_path / ".netrc").chmod(0o600)
    done = python(
        ASK, tmp_path, network, WANDB_SILENT="true", WANDB_ERROR_REPORTING="false", **variables
    )
    assert done.stdout.strip() == expected, done.stderr
    assert done.stderr == ""
    assert not network.was_used()


def test_what_wandb_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    def init(**_options: object) -> None:
        raise wandb.errors.CommError("unreachable\nfor 90 s")

    monkeypatch.setattr(wandb, "init", init)
    with pytest.raises(InputError, match=r"unreachable for 90 s; .*--log\.wandb offline"):
        open_tracker("online", "tests", tmp_path, {})


# --- Which run it is ------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What wandb.init was given, run by run; nothing is said by the environment."""
    import wandb

    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    calls: list[dict[str, Any]] = []

    def init(**options: Any) -> SimpleNamespace:
        calls.append(options)
        return SimpleNamespace(id=options.get("id") or f"made{len(calls)}")

    monkeypatch.setattr(wandb, "init", init)
    return calls


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_resumed_run_goes_on_with_its_own(
    tmp_path: Path, started: list[dict[str, Any]], mode: str
) -> None:
    for folder in ("a", "a", "b"):
        open_tracker(mode, "tests", tmp_path / folder, {})
    assert [call.get("id") for call in started] == [None, "made1", None]
    assert [call["name"] for call in started] == ["a", "a", "b"]
    resumed = "allow" if mode == "online" else None
    assert [call.get("resume") for call in started] == [None, resumed, None]
    assert {call["project"] for call in started} == {"tests"}
    assert {call["mode"] for call in started} == {mode}


def test_a_sweep_says_which_run_it_is(
    tmp_path: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    monkeypatch.setenv("WANDB_RUN_ID", "run1")
    open_tracker("online", "tests", tmp_path, {})
    assert not {"id", "name", "project", "resume"} & started[0].keys()


def test_what_the_user_says_of_the_run_is_kept(
    tmp_path: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_tracker("online", "tests", tmp_path, {})
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    monkeypatch.setenv("WANDB_NAME", "my name")
    open_tracker("online", "tests", tmp_path, {})
    assert not {"id", "name", "resume"} & started[1].keys()


@pytest.mark.parametrize("state", [{}, {"commit": "f00", "dirty": True}])
def test_config_holds_the_commit(
    tmp_path: Path,
    started: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    state: dict[str, Any],
) -> None:
    monkeypatch.setattr(tracking, "git_state", lambda: state)
    open_tracker("offline", "tests", tmp_path, {"seed": 3})
    expected = {"git_commit": "f00", "git_dirty": True} if state else {}
    assert started[0]["config"] == {"seed": 3} | expected


def test_an_upload_that_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    class Run:
        dir = "runs/mine/wandb/run-1/files"

        def finish(self, exit_code: int) -> None:
            raise TimeoutError

    WandbTracker(Run()).finish()
    (message,) = caplog.messages
    assert "`wandb sync runs/mine/wandb/run-1`" in message
