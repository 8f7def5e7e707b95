"""A folder of photos and ``labels.csv``: the image labels that anybody can write."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from sss.data.base import MissingDataError, some_names
from sss.data.image_labels import check_classes
from sss.errors import InputError
from sss.image.label_maps import read_label_map

_HEADER = ("file", "class")


class LabelsCsv:
    """Photos named in ``labels.csv``, each line ``file,class;class``.

    A first line ``file,class`` is a header. Where a folder ``truth`` holds a PNG of a photo's
    stem, that is its truth, for evaluation: 0 background, k + 1 of class k in the order of
    ``classes.txt``, one name a line, 255 unknown.

    Args:
        root: Folder of ``labels.csv``; the files are named from there, or from its ``images``.
        split: ``labels_SPLIT.csv`` is read in place of ``labels.csv`` where there is one.

    Raises:
        InputError: The file or a photo is not there, or a line cannot be read.
    """

    def __init__(self, root: Path, split: str) -> None:
        table = root / f"labels_{split}.csv"
        if not table.is_file():
            table = root / "labels.csv"
        rows = _read_rows(table)
        self.photos: list[Path] = []
        self._labels: list[frozenset[str]] = []
        self._truth = root / "truth"
        missing = []
        for name, classes in rows:
            path = next((p for p in (root / name, root / "images" / name) if p.is_file()), None)
            if path is None:
                missing.append(name)
                continue
            self.photos.append(path)
            self._labels.append(classes)
        if missing:
            raise InputError(
                f"{len(missing)} of {len(rows)} photos that {table} names are not in {root} "
                f"({some_names(missing)}); put them there, or remove their lines"
            )
        found = sorted({name for labels in self._labels for name in labels})
        listed = root / "classes.txt"
        self.classes = listed.read_text().split("\n") if listed.is_file() else found
        self.classes = [name.strip() for name in self.classes if name.strip()]
        check_classes(found, self.classes)

    def labels(self, index: int) -> frozenset[str]:
        """Names of the classes of photo ``index``."""
        return self._labels[index]

    def truth(self, index: int) -> np.ndarray | None:
        """(H, W) int32 of ``truth/STEM.png``; None where there is none."""
        path = self._truth / f"{self.photos[index].stem}.png"
        return read_label_map(path) if path.is_file() else None


def _read_rows(path: Path) -> list[tuple[str, frozenset[str]]]:
    """File names and classes.

    Raises:
        InputError: Says which line cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except FileNotFoundError as error:
        raise MissingDataError(f"no {path}; write one line per photo: file,class;class") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path} ({error}); save it as CSV in UTF-8") from error
    rows: dict[str, frozenset[str]] = {}
    for number, line in enumerate(lines, start=1):
        cells = tuple(cell.strip() for cell in line)
        if not any(cells) or (number == 1 and cells[:2] == _HEADER):
            continue
        if len(cells) != 2 or not cells[0]:
            raise InputError(
                f"{path}, line {number} has {len(cells)} columns, expected two: file,class;class"
            )
        if cells[0] in rows:
            raise InputError(f"{path}, line {number} names {cells[0]} again; keep one line of it")
        rows[cells[0]] = frozenset(name.strip() for name in cells[1].split(";") if name.strip())
    if not rows:
        raise InputError(f"{path} names no photo; write one line per photo: file,class;class")
    return list(rows.items())
