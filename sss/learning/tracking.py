"""Where the figures of a run go: metrics.csv and curves.png always, Weights & Biases if wanted."""

from __future__ import annotations

import csv
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

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
                rows = [
                    {key: float(value) for key, value in row.items() if value}
                    for row in csv.DictReader(file)
                ]
            self.rows = [row for row in rows if row["step"] <= resume_step]
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
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt

        figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
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
        plt.close(figure)


class NoTracker:
    """A tracker that keeps nothing."""

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Take the figures of one step."""

    def picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Take one picture, (H, W, 3) uint8."""

    def finish(self) -> None:
        """Close the run."""


class WandbTracker(NoTracker):
    """Sends figures and pictures to Weights & Biases."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Log the figures of one step."""
        self._run.log(values, step=step)

    def picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Log one picture, (H, W, 3) uint8."""
        import wandb

        self._run.log({name: wandb.Image(pixels)}, step=step)

    def finish(self) -> None:
        """Upload what is left and close the run."""
        self._run.finish(quiet=True)


def open_tracker(
    mode: str, project: str, name: str, folder: Path, config: dict[str, Any]
) -> NoTracker:
    """Start tracking.

    Args:
        mode: ``auto``, ``online``, ``offline`` or ``disabled``; ``auto`` goes online when
            somebody is logged in and offline, with one line, when not.
        project: W&B project.
        name: Of the run.
        folder: Where W&B keeps its files.
        config: The resolved configuration.
    """
    if mode == "disabled":
        return NoTracker()
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    if mode == "auto":
        mode = "online" if wandb.api.api_key else "offline"
        if mode == "offline":
            log.info(
                "Weights & Biases: nobody is logged in, the run is kept in %s/wandb "
                "(`wandb sync` uploads it, `wandb login` or --log.wandb disabled end this line)",
                folder,
            )
    run = wandb.init(
        project=project,
        name=name,
        id=name,
        resume="allow" if mode == "online" else None,
        dir=str(folder),
        mode=mode,
        config=config,
        settings=wandb.Settings(console="off"),
    )
    return WandbTracker(run)
