"""One photo, or its layers, edited."""

from __future__ import annotations

import json
import logging
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from sss.cli.edit_options import EditOptions
from sss.cli.progress import try_photo
from sss.cli.result_folders import other_photo, photo_entry, result_folders
from sss.cli.split_options import AUTO
from sss.clock import Progress
from sss.errors import InputError, as_text
from sss.image.reading import read_photo
from sss.layers.files import REPORT, write_report
from sss.layers.formats import LAYERED_SUFFIXES, write_layered
from sss.layers.picture_file import write_picture
from sss.layers.reading import is_layers_folder, read_layers
from sss.layers.soft_layers import Layers
from sss.ownership import owned
from sss.splitter import Splitter

log = logging.getLogger(__name__)


class EditWorker:
    """Edits one photo after the other.

    Args:
        options: Of the command line.
    """

    def __init__(self, options: EditOptions) -> None:
        self.options = options

    def try_source(self, source: Path, target: Path) -> str | None:
        """Edit one photo; what stopped it comes back as one line."""
        return try_photo(source, lambda progress: self._edit(source, target, progress))

    def _edit(self, source: Path, target: Path, progress: Progress) -> str:
        """Edit and write; a summary.

        Raises:
            InputError: The photo, the recipe or the target cannot be used.
        """
        started = time.perf_counter()
        layers = read_layers(source) if source.is_dir() else self._layers(source, progress)
        stack = self.options.recipe.apply(layers, progress)
        progress("write", 0.0)
        if target.suffix.lower() in LAYERED_SUFFIXES:
            write_layered(target, stack, self.options.bits)
        else:
            write_picture(target, stack)
        return f"{time.perf_counter() - started:.1f} s → {target}"

    def _layers(self, photo: Path, progress: Progress) -> Layers:
        """A photo's layers: those that are kept, or new ones."""
        (folder,) = result_folders([photo], self.options.layers_dir)
        if self._is_current(folder, photo) and not self.options.recipe.needs_tree:
            try:
                return read_layers(folder)
            except InputError as error:
                log.warning("%s; %s is split anew", error, photo)
        opened = read_photo(photo, self.options.max_side)
        layers = self._splitter.prepare(opened, progress=progress).layers(
            self.options.split_into or AUTO, progress
        )
        with owned(folder):
            report = layers.save(folder, {"photo": photo_entry(photo)}, progress)
            report["settings"] |= {
                "layers": self.options.split_into or AUTO,
                "max_side": self.options.max_side,
            }
            write_report(folder / REPORT, report)
        return layers

    def _is_current(self, folder: Path, photo: Path) -> bool:
        """Whether a folder holds this photo's layers, as many as wanted, and the photo is older."""
        if not is_layers_folder(folder):
            return False
        if other_photo(folder, photo) is not None:
            raise InputError(
                f"{photo}: {folder} holds the layers of another photo; give another --layers-dir"
            )
        try:
            report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
            older = photo.stat().st_mtime <= (folder / REPORT).stat().st_mtime
        except (OSError, ValueError):
            return False
        if not older or not (folder / "layer_0.png").is_file():
            return False
        return all(_entry(report, name) == value for name, value in self._wanted.items())

    @cached_property
    def _wanted(self) -> dict[str, Any]:
        """What the command line says of splitting, as reports have it."""
        options = self.options
        wanted: dict[str, Any] = {}
        if options.given_count:
            wanted["layers"] = options.split_into or AUTO
        if options.checkpoint is not None:
            wanted["checkpoint"] = as_text(options.checkpoint)
        if options.max_side is not None:
            wanted["max_side"] = options.max_side
        if options.seed:
            wanted["seed"] = options.seed
        return wanted

    @cached_property
    def _splitter(self) -> Splitter:
        from sss.spectral.settings import Settings

        options = self.options
        return Splitter(options.checkpoint, options.device, Settings(seed=options.seed))


def _entry(report: dict[str, Any], name: str) -> Any:
    """Of a report: settings of the command line stand apart."""
    settings = report.get("settings")
    if name in ("layers", "max_side"):
        return settings.get(name) if isinstance(settings, dict) else None
    return report.get(name)
