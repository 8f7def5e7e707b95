"""One photo from file to folder."""

from __future__ import annotations

import logging
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from sss.cli import STARTED
from sss.cli.progress import try_photo
from sss.cli.result_folders import photo_entry
from sss.cli.split_options import AUTO, SplitOptions
from sss.clock import Progress, StageClock
from sss.errors import InputError, as_text
from sss.image.reading import read_photo
from sss.layers.arrange import all_pieces
from sss.layers.files import REPORT, remove_report, write_report
from sss.layers.soft_layers import Layers
from sss.models.feature_files import read_embedding
from sss.processes import peak_memory_mb
from sss.proposals.source import PIECES, Source, open_source
from sss.scene import Scene
from sss.spectral.settings import Settings
from sss.splitter import Splitter
from sss.threads import thread_count

log = logging.getLogger(__name__)


class PhotoWorker:
    """Does one photo after the other with one splitter.

    Args:
        options: Of the command line.
        splitter: Splits the photos; None opens one as the options say.

    Raises:
        InputError: The checkpoint or the device cannot be used.
    """

    def __init__(self, options: SplitOptions, splitter: Splitter | None = None) -> None:
        self.options = options
        settings = Settings(solver=options.solver, grouping=options.grouping, seed=options.seed)
        self.splitter = splitter or Splitter(options.checkpoint, options.device, settings)
        self.source: Source | None = None
        if options.instances not in (None, PIECES):
            numbers = options.score_threshold, options.mask_nms
            self.source = open_source(str(options.instances), options.device, *numbers)
        # Now: a network that cannot be used stops all photos.
        self.splitter.load(network=options.features is None)
        self.startup_seconds = round(time.perf_counter() - STARTED, 3)

    def try_photo(self, photo: Path, folder: Path) -> str | None:
        """Do one photo; what stopped it comes back as one line."""
        return try_photo(photo, lambda progress: self.do_photo(photo, folder, progress))

    def do_photo(self, path: Path, folder: Path, progress: Progress) -> str:
        """Read, split and write one photo; returns a summary.

        Raises:
            InputError: The photo, its features or the folder cannot be used.
        """
        started = time.perf_counter()
        options = self.options
        clock = StageClock()
        with clock.stage("read"):
            photo = read_photo(path, options.max_side)
        with clock.stage("features"):
            given = None if options.features is None else read_embedding(options.features)
        scene = self.splitter.prepare(photo, given, progress)
        layers = self._layers(scene, path, progress)
        if options.layers and not options.instances and len(layers) < options.layers:
            log.warning("%s: only %d layers, the photo has no more parts", path, len(layers))
        remove_report(folder)  # without it a result counts as unfinished
        with clock.stage("write"):
            self._write_embedding(folder / "features.npy", scene)
        del scene  # the largest arrays of all
        report = layers.save(
            folder, {"photo": photo_entry(path)}, progress, options.formats, options.bits
        )
        for stage, seconds in clock.seconds.items():
            report["seconds"][stage] = round(report["seconds"].get(stage, 0.0) + seconds, 4)
        report["total_seconds"] = round(time.perf_counter() - started, 3)
        write_report(folder / REPORT, self._complete(report))
        return f"{len(layers)} layers in {report['total_seconds']:.1f} s → {folder}"

    def _layers(self, scene: Scene, path: Path, progress: Progress) -> Layers:
        """The layers, with those of --instances.

        Raises:
            InputError: The photo has no instances there.
        """
        options = self.options
        count: int | Literal["auto"] = options.layers or AUTO
        if options.instances == PIECES:
            whole, clock = scene.layers(count, progress), StageClock(progress)
            with clock.stage("instances"):
                divided = all_pieces(whole, options.smallest)
            return replace(divided, seconds={**divided.seconds, **clock.seconds})
        if self.source is None:
            return scene.layers(count, progress)
        clock = StageClock(progress)
        with clock.stage("proposals"):
            found = self.source.find(scene.photo, path.stem)
        layers = scene.layers(count, progress, found)
        return replace(layers, seconds={**layers.seconds, **clock.seconds})

    def _write_embedding(self, path: Path, scene: Scene) -> None:
        """With --save-features; else remove what an earlier run may have left."""
        if self.options.save_features:
            self.splitter.save_embedding(scene, path)
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot write to {path.parent}: {error.strerror or error}; choose another -o"
            ) from error

    def _complete(self, report: dict[str, Any]) -> dict[str, Any]:
        """The report with what only this process and its command line know."""
        options = self.options
        settings = {
            "layers": options.layers or AUTO,
            "features": as_text(options.features) if options.features else None,
            "device": report["device"],
            "max_side": options.max_side,
            "save_features": options.save_features,
            "jobs": options.jobs,
            "instances": as_text(options.instances) if options.instances else None,
            "score_threshold": options.score_threshold,
            "mask_nms": options.mask_nms,
            "smallest": options.smallest,
        }
        return {
            **report,
            "startup_seconds": self.startup_seconds,
            "peak_memory_mb": peak_memory_mb(),
            "threads": thread_count(),
            "settings": {**report["settings"], **settings},
            "versions": {"python": platform.python_version(), **report["versions"]},
        }
