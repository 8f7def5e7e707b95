"""A run from image labels to masks: its folder, its stages in their order, its photos."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from sss.data.image_labels import LabelledPhotos, Photo
from sss.errors import InputError, describe_failure
from sss.files import remove_partial_files, whole_file
from sss.threads import one_thread
from sss.timer import PhotoProgress
from sss.training.accelerator import together
from sss.training.weak.config import WeakConfig
from sss.training.weak.photos import open_held_out, open_photos

log = logging.getLogger(__name__)

SETTINGS = {
    "classify": ("model", "data", "classify", "seed"),
    "maps": ("maps",),
    "soft": ("layers",),
    "affinity": ("affinity",),
    "walk": ("walk",),
    "layers": ("layers",),
    "labels": ("labels",),
    "segment": ("segment",),
}
"""Sections of the configuration that each stage adds to those of the stages before."""

BEFORE = {
    "classify": (),
    "maps": ("classify",),
    "soft": (),
    "affinity": ("maps", "soft"),
    "walk": ("affinity",),
    "layers": ("walk", "soft"),
    "labels": ("layers",),
    "segment": ("labels",),
}
"""The stages whose results each stage takes."""

_NOT_RESULTS = ("workers", "timeout", "log", "threads", "device", "root", "validation_photos")


@dataclass
class WeakRun:
    """What the stages share.

    Attributes:
        config: Of the run.
        folder: Of the run; each stage has one in it.
        accelerator: Devices and processes.
        failures: Lines about photos that could not be done.
    """

    config: WeakConfig
    folder: Path
    accelerator: Accelerator
    failures: list[str] = field(default_factory=list)

    @cached_property
    def photos(self) -> LabelledPhotos:
        """The photos that are trained on."""
        return open_photos(self.config.data)

    @cached_property
    def held_out(self) -> LabelledPhotos:
        """The photos of the classifier's validation."""
        return open_held_out(self.config.data, self.photos.classes)

    @property
    def device(self) -> torch.device:
        """Where networks compute."""
        device: torch.device = self.accelerator.device
        return device

    def settings(self, stage: str) -> dict[str, Any]:
        """All that the results of a stage depend on."""
        found: dict[str, Any] = {}
        for earlier in BEFORE[stage]:
            found |= self.settings(earlier)
        values = asdict(self.config)
        return found | {name: _results_only(values[name]) for name in SETTINGS[stage]}

    def is_done(self, stage: str) -> bool:
        """Whether a stage was finished with these settings.

        Raises:
            InputError: It was begun with others.
        """
        begun = self.folder / stage / "stage.json"
        if not begun.is_file():
            return False
        note = json.loads(begun.read_text())
        now = json.loads(json.dumps(self.settings(stage)))
        if note["settings"] != now:
            changed = [k for k in now if note["settings"].get(k) != now[k]]
            raise InputError(
                f"{self.folder / stage} was made with other settings of {', '.join(changed)}; "
                f"remove it and the stages after it to make them anew, or choose another --run_dir"
            )
        return bool(note["done"])

    def note(self, stage: str, done: bool) -> None:
        """Write down that a stage was begun or is finished with the present settings."""
        if not self.accelerator.is_main_process:
            return
        folder = self.folder / stage
        remove_partial_files(folder)
        with whole_file(folder / "stage.json") as partial:
            partial.write_text(
                json.dumps({"done": done, "settings": self.settings(stage)}, indent=1) + "\n"
            )

    def each_photo(
        self,
        what: str,
        made: Callable[[Photo], Sequence[Path]],
        do: Callable[[Photo], None],
    ) -> None:
        """Do something with every photo of which it was not done yet.

        Each process does its share. What stops a photo is told in a line at the end, and the others
        are done.

        Args:
            what: For the progress.
            made: The files that are there once a photo is done.
            do: Makes them.
        """
        rank, size = self.accelerator.process_index, self.accelerator.num_processes
        own = self.photos.photos[rank::size]
        failures: list[str] = []
        progress = PhotoProgress(what, len(own))
        for photo in own:
            there = all(path.is_file() for path in made(photo))
            if not there:
                try:
                    with one_thread():
                        do(photo)
                except Exception as error:  # of whatever kind: the other photos shall be done
                    log.debug("%s: where it happened", photo.path, exc_info=True)
                    failures.append(describe_failure(photo.path, error))
            progress.add(worked=not there)
        progress.clear()
        with together(self.accelerator):  # a stage is done when all of its photos are
            self.failures += [line for part in gather_object([failures]) for line in part]


def _results_only(values: Any) -> Any:
    """Settings without those that change no result."""
    if not isinstance(values, dict):
        return values
    return {k: _results_only(v) for k, v in values.items() if k not in _NOT_RESULTS}
