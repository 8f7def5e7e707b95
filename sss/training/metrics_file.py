"""``metrics.csv``, the figures of a run that stand in its folder with or without W&B."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from sss.errors import InputError
from sss.files import whole_file
from sss.training.curves import draw_curves

log = logging.getLogger(__name__)

COLUMNS = [
    "step",
    "loss",
    "lr",  # of the encoder
    "lr_head",  # of the new layers
    "grad_norm",
    "images_per_second",
    "wait_share",  # of the time, waiting for the loader, 0 to 1
    "seconds",  # of training so far
]
"""Those of every run; its task adds its own."""


class MetricsFile:
    """Rows of ``metrics.csv``, each on disk when written; later rows of a broken run are cut.

    A file of an earlier version of this program may have other columns: those that are still
    written are kept, the others are left out with one line in the log.

    Args:
        path: The CSV file.
        resume_step: Rows after this step are dropped: they will be computed again. 0 begins anew.
        pending: The validation of this step, too.
        more: Further columns of this run.
        curves: Those of its validations that are drawn, with their labels.

    Raises:
        InputError: The file cannot be read or written.
    """

    def __init__(
        self,
        path: Path,
        resume_step: int = 0,
        pending: bool = False,
        more: Sequence[str] = (),
        curves: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.path = path
        self.curves = curves
        self.columns = [*COLUMNS, *more]
        self.rows: list[dict[str, float]] = []
        if resume_step and path.is_file():
            self.rows = [
                row
                for row in _read_rows(path, self.columns)
                if row["step"] <= resume_step
                and not (pending and row["step"] == resume_step and _is_validation(row))
            ]
        with whole_file(path) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self.rows)

    def add(self, row: dict[str, float]) -> None:
        """Append one row; columns it lacks stay empty.

        Raises:
            InputError: The disk is full, or the folder is gone.
        """
        self.rows.append(row)
        try:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self.columns).writerow(row)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror or error}") from error

    def draw(self, path: Path) -> None:
        """Draw all rows as curves; see :func:`sss.training.curves.draw_curves`."""
        draw_curves(self.rows, path, self.curves)


def _is_validation(columns: Iterable[str]) -> bool:
    return any(column.startswith("val_") for column in columns)


def _read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, float]]:
    """The rows of a file, without those that were broken off in writing."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [row for line in reader if (row := _numbers(line, columns))]
            left_out = [name for name in reader.fieldnames or [] if name not in columns]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path} ({error}); move it away to go on") from error
    if left_out:
        log.warning(
            "%s: the columns %s of an earlier version are left out", path, ", ".join(left_out)
        )
    return rows


def _numbers(row: dict[str, str], columns: Sequence[str]) -> dict[str, float]:
    """The filled columns of a CSV row; nothing if the row was broken off in writing."""
    try:
        values: dict[str, float] = {
            key: float(row[key])
            for key in columns[1:]
            if row.get(key)  # step stays whole
        }
        return {"step": int(row["step"]), **values}
    except (KeyError, ValueError, TypeError):
        return {}
