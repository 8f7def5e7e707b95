"""Results of single photos on disk, under the hash of all that they depend on."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sss import __version__
from sss.evaluation.records import METRICS, Record
from sss.evaluation.samples import Sample
from sss.files import remove_partial_files, whole_file

log = logging.getLogger(__name__)

METRICS_VERSION = 4
"""Raised with every change of metrics, methods or features that changes figures: what was computed
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
            record = _as_record(json.loads(path.read_text(encoding="utf-8")))
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
            InputError: The folder cannot be written to.
            ValueError: A figure is not finite.
        """
        text = json.dumps(asdict(record), allow_nan=False, ensure_ascii=False)
        if pictures is not None:
            write_webp(self.picture(record.key), pictures)
        with whole_file(self.folder / f"{record.key}.json") as partial:
            partial.write_text(text + "\n", encoding="utf-8")

    def picture(self, key: str) -> Path:
        """Where the pictures of a record are."""
        return self.folder / f"{key}.webp"

    def write_sample(self, name: str, photo: np.ndarray, truth: np.ndarray) -> None:
        """Keep the pictures of a photo and its truth, (h, w, 3) uint8 each."""
        write_webp(self.folder / f"photo-{name}.webp", photo)
        write_webp(self.folder / f"truth-{name}.webp", truth)

    def tidy(self) -> None:
        """Remove what processes left that were killed while they wrote."""
        remove_partial_files(self.folder, STALE_SECONDS)


def write_webp(path: Path, picture: np.ndarray) -> None:
    """Write an (h, w, 3) uint8 picture whole or not at all."""
    with whole_file(path) as partial:
        Image.fromarray(picture).save(partial, quality=WEBP_QUALITY)


def record_key(settings: dict[str, Any]) -> str:
    """SHA-256 of the settings' canonical JSON.

    Raises:
        ValueError: They hold NaN or infinite numbers.
        TypeError: They hold something that is not of JSON.
    """
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sample_hash(sample: Sample) -> str:
    """SHA-256 of a photo's pixels and of its truth; its name does not matter."""
    digest = hashlib.sha256()
    arrays = [sample.photo, sample.regions, sample.instances]
    for matte in sample.mattes:
        arrays += [matte.alpha, matte.trimap]
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@cache
def code_versions() -> dict[str, Any]:
    """What of the program and its libraries a result depends on."""
    packages = {package: version(package) for package in PACKAGES}
    return {"metrics": METRICS_VERSION, "sss": __version__, **packages}


def _as_record(content: Any) -> Record:
    """A record from its JSON.

    Raises:
        ValueError: It is not one, or not of this version.
    """
    names = {field.name for field in fields(Record)}
    if not isinstance(content, dict) or content.keys() != names:
        raise ValueError("not a record of this version")
    scales = len(content["scales"])
    for metric, figures in content["figures"].items():
        if metric not in METRICS or len(figures) != scales:
            raise ValueError(f"its figures of {metric} are not those of {scales} scales")
        content["figures"][metric] = [(float(total), float(weight)) for total, weight in figures]
    return Record(**content)
