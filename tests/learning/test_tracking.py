import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from sss.errors import InputError
from sss.learning.tracking import COLUMNS, MetricsFile, NoTracker, open_tracker

REPOSITORY = Path(__file__).parents[2]

# --- metrics.csv ----------------------------------------------------------------------------------


def table(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_rows_are_written_at_once(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "run" / "metrics.csv")
    metrics.add({"step": 0, "val_pair_auc": 0.5})
    metrics.add({"step": 10, "loss": 0.25, "lr": 1e-4})
    assert table(metrics.path) == [
        COLUMNS,
        ["0", "", "", "", "", "0.5"],
        ["10", "0.25", "0.0001", "", "", ""],
    ]


def test_resuming_cuts_what_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    metrics = MetricsFile(path)
    for step in (10, 20, 30, 40):
        metrics.add({"step": step, "loss": step / 8})
    before = table(path)
    resumed = MetricsFile(path, resume_step=20)
    assert table(path) == before[:3]  # to the letter
    resumed.add({"step": 30, "loss": 1.0})
    assert [row["step"] for row in resumed.rows] == [10, 20, 30]


def test_a_new_run_begins_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    MetricsFile(path).add({"step": 10, "loss": 1.0})
    assert MetricsFile(path).rows == []
    assert table(path) == [COLUMNS]


@pytest.mark.parametrize("tail", ["30,0.2e-", "3x", ",,,,,", "\n", "30"])
def test_a_row_broken_off_is_dropped(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "metrics.csv"
    MetricsFile(path).add({"step": 10, "loss": 1.0})
    with path.open("a") as file:
        file.write(tail)
    assert [row["step"] for row in MetricsFile(path, resume_step=20).rows] == [10]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"step": 0, "val_pair_auc": 0.5}],
        [{"step": s, "loss": 1 / (s + 1), "val_pair_auc": s / 60} for s in range(50)],
        [{"step": 1, "loss": float("nan")}],
    ],
)
def test_curves(tmp_path: Path, rows: list[dict[str, float]]) -> None:
    metrics = MetricsFile(tmp_path / "metrics.csv")
    for row in rows:
        metrics.add(row)
    metrics.draw(tmp_path / "curves.png")
    picture = imread(tmp_path / "curves.png")[..., :3].astype(int)
    blue = (picture[..., 2] - picture[..., 0] > 60).sum()  # of the curves
    assert (blue > 0) == any(np.isfinite(v) for row in rows for k, v in row.items() if k != "step")


# --- Weights & Biases -----------------------------------------------------------------------------

RUN = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
from pathlib import Path
from sss.learning.tracking import open_tracker
tracker = open_tracker("auto", "tests", Path("my run"), {"seed": 3})
tracker.log(0, {"loss": 0.5})
tracker.log(1, {"loss": 0.25})
tracker.finish()
"""

ASK = "from sss.learning.tracking import _logged_in; print(_logged_in())"

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
def network():
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
    tracker.finish()
    assert list(tmp_path.iterdir()) == []


def test_auto_without_login_is_offline_and_quiet(tmp_path: Path, network: Network) -> None:
    (tmp_path / "my run").mkdir()
    done = python(RUN, tmp_path, network)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Weights & Biases: nobody is logged in, the run is kept in my run/wandb")
    (stored,) = (tmp_path / "my run" / "wandb").glob("offline-run-*-my-run/*.wandb")
    assert stored.stat().st_size > 0
    assert not network.was_used()


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
