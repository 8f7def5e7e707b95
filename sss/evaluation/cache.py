"""Results of single photos on disk, under the hash of all that they depend on."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sss import __version__
from sss.errors import InputError
from sss.evaluation.records import Record, record_from_json, record_key
from sss.files import remove_partial_files, whole_file

log = logging.getLogger(__name__)

METRICS_VERSION = 6
"""Raised with every change of metrics, methods or features that changes scores: what was computed
before is then computed anew."""

PACKAGES = (
    "numpy",
    "scipy",
    "scikit-image",
    "scikit-learn",
    "opencv-python-headless",
    "pymatting",
)
"""Their versions can change the layers."""

STALE_SECONDS = 24 * 3600
"""Age at which an unfinished file is nobody's any more."""

WEBP_QUALITY = 85


class CacheError(InputError):
    """Results cannot be kept: no other photo's could be either, so the run ends."""


@dataclass(frozen=True)
class Cache:
    """A folder of finished results. Several processes may write to it at once.

    Attributes:
        folder: Made with the first result.
    """

    folder: Path

    def read(self, key: str) -> Record | None:
        """The record under ``key``; None if there is none or it cannot be used."""
        path = self.folder / f"{key}.json"
        try:
            record = record_from_json(path.read_text(encoding="utf-8"))
            if record.key != key or record_key(record.settings) != key:
                raise ValueError("it belongs to another key")
            if record.kind == "layers":
                with Image.open(self.picture(key)) as picture:
                    picture.verify()
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged picture makes Pillow raise almost anything
            log.warning("%s cannot be used and is computed again (%s)", path, error)
            return None
        return record

    def write(self, record: Record, pictures: np.ndarray | None = None) -> None:
        """Keep a record; its pictures come first, so that a record always has them.

        Args:
            record: Its ``key`` is that of its ``settings``.
            pictures: (h, w, 3) uint8, for layers.

        Raises:
            CacheError: The folder cannot be written to, or the disk is full.
            ValueError: A score is not finite.
        """
        text = json.dumps(asdict(record), allow_nan=False)
        with self._kept():
            if pictures is not None:
                _write_webp(self.picture(record.key), pictures)
            with whole_file(self.folder / f"{record.key}.json") as partial:
                partial.write_text(text + "\n", encoding="utf-8")

    def picture(self, key: str) -> Path:
        """Where the pictures of a record are."""
        return self.folder / f"{key}.webp"

    def write_sample(self, name: str, photo: np.ndarray, truth: np.ndarray) -> None:
        """Keep the pictures of a photo and its truth, (h, w, 3) uint8 each.

        Raises:
            CacheError: As of :meth:`write`.
        """
        with self._kept():
            _write_webp(self.folder / f"photo-{name}.webp", photo)
            _write_webp(self.folder / f"truth-{name}.webp", truth)

    def tidy(self) -> None:
        """Remove what processes left that were killed while they wrote."""
        remove_partial_files(self.folder, STALE_SECONDS)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            raise CacheError(
                f"{error} (--cache); then give the same command again: what {self.folder} holds "
                "is not computed anew"
            ) from error


def _write_webp(path: Path, picture: np.ndarray) -> None:
    with whole_file(path) as partial:
        Image.fromarray(picture).save(partial, quality=WEBP_QUALITY)


@cache
def code_versions() -> dict[str, Any]:
    """What of the program and its libraries a result depends on."""
    packages = {package: version(package) for package in PACKAGES}
    return {"metrics": METRICS_VERSION, "sss": __version__, **packages}
