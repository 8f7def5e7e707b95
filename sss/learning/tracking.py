"""Where the figures of a run go: metrics.csv and curves.png always, Weights & Biases if wanted."""

from __future__ import annotations

import csv
import logging
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from sss.errors import InputError
from sss.files import whole_file

log = logging.getLogger(__name__)

COLUMNS = ["step", "loss", "lr", "photos_per_second", "seconds", "val_pair_auc"]


class MetricsFile:
    """Rows of ``metrics.csv``, each flushed when written; later rows of a broken run are cut.

    Args:
        path: The CSV file.
        resume_step: Rows after this step are dropped: they will be computed again.
    """

    def __init__(self, path: Path, resume_step: int = 0) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        if resume_step and path.is_file():
            with path.open(newline="") as file:
                rows = [_numbers(row) for row in csv.DictReader(file)]
            self.rows = [row for row in rows if row and row["step"] <= resume_step]
        with whole_file(path) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)

    def add(self, row: dict[str, float]) -> None:
        """Append one row; columns it lacks stay empty."""
        self.rows.append(row)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)

    def draw(self, path: Path) -> None:
        """Draw loss and validation over the steps."""
        from matplotlib.figure import Figure  # without pyplot: no window, no global state

        figure = Figure(figsize=(9, 3.2), layout="constrained")
        axes = figure.subplots(1, 2)
        for axis, key, title in zip(
            axes, ("loss", "val_pair_auc"), ("training loss", "validation pair AUC"), strict=True
        ):
            points = [(row["step"], row[key]) for row in self.rows if key in row]
            if points:
                steps, values = np.array(points).T
                axis.plot(steps, values, marker="o" if len(points) < 40 else None, markersize=3)
            axis.set(title=title, xlabel="step")
            axis.grid(alpha=0.3)
        with whole_file(path) as partial:
            figure.savefig(partial, dpi=110)


def _numbers(row: dict[str, str]) -> dict[str, float]:
    """The filled columns of a CSV row; nothing if the row was broken off in writing."""
    try:
        values: dict[str, float] = {
            key: float(text) for key, text in row.items() if text and key != "step"
        }
        return {"step": int(row["step"]), **values}
    except (ValueError, TypeError):
        return {}


class NoTracker:
    """A tracker that keeps nothing."""

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Take the figures of one step."""

    def finish(self, failed: bool = False) -> None:
        """Close the run, as a failed one if it ended in an error."""


class WandbTracker(NoTracker):
    """Sends figures to Weights & Biases."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Log the figures of one step."""
        self._run.log(values, step=step)

    def finish(self, failed: bool = False) -> None:
        """Upload what is left and close the run, as a failed one if it ended in an error."""
        self._run.finish(exit_code=int(failed))


def open_tracker(mode: str, project: str, folder: Path, config: dict[str, Any]) -> NoTracker:
    """Start tracking.

    Args:
        mode: ``auto``, ``online``, ``offline`` or ``disabled``; ``auto`` goes online when
            somebody is logged in and offline, with one line, when not.
        project: W&B project.
        folder: Of the run, whose name it gives; W&B keeps its files there.
        config: The resolved configuration.

    Raises:
        InputError: W&B refuses the credentials or the project's name, or cannot be reached.
    """
    if mode == "disabled":
        return NoTracker()
    # Both are read when wandb is imported. Without the second, an offline run calls home too.
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    if mode == "auto":
        mode = "online" if _logged_in() else "offline"
        if mode == "offline":
            log.info(
                "Weights & Biases: nobody is logged in, the run is kept in %s/wandb "
                "(`wandb sync` uploads it, `wandb login` or --log.wandb disabled end this line)",
                folder,
            )
    name = folder.resolve().name
    try:
        run = wandb.init(
            project=project,
            name=name,
            id=re.sub(r"[^\w.-]", "-", name),
            resume="allow" if mode == "online" else None,
            dir=str(folder),
            mode="online" if mode == "online" else "offline",
            config=config,
            settings=wandb.Settings(console="off", silent=True),
        )
    except wandb.Error as error:
        raise _refused(error) from error
    return WandbTracker(run)


def _logged_in() -> bool:
    """Whether W&B finds credentials here (environment or .netrc); asks no one, nor the network."""
    import wandb

    # Under WANDB_MODE=offline `login` would warn that it cannot verify anything.
    if os.environ.get("WANDB_MODE") in ("offline", "dryrun", "disabled"):
        return False
    try:
        return bool(wandb.login(prompt=False, verify=False))
    except wandb.Error as error:
        raise _refused(error) from error


def _refused(error: Exception) -> InputError:
    return InputError(
        f"Weights & Biases: {' '.join(str(error).split())}; mend that, or train with "
        "--log.wandb offline or disabled"
    )
