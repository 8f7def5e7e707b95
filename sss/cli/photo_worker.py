"""One photo from file to folder."""

from __future__ import annotations

import logging
import platform
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sss import __version__
from sss.cli.progress import StageLine
from sss.cli.split_options import AUTO, Options
from sss.clock import Progress, StageClock
from sss.cuda.backend import choose_backend
from sss.distributed import own_share
from sss.errors import InputError
from sss.files import remove_partial_files, whole_file
from sss.image.reading import read_photo
from sss.layers.files import write_layers, write_report
from sss.layers.overview import write_overview
from sss.processes import describe_failure
from sss.spectral.segmenter import SoftLayers, SoftSegmenter
from sss.threads import one_thread, thread_count

if TYPE_CHECKING:
    from sss.models.predictor import FeatureExtractor

log = logging.getLogger(__name__)

PACKAGES = ("numpy", "scipy", "scikit-image", "scikit-learn", "numba")
"""Their versions can change the layers, so the report names them."""

FLOAT16_MAX = float(np.finfo(np.float16).max)


class PhotoWorker:
    """Does one photo after the other with one loaded network.

    Args:
        options: Of the command line.

    Raises:
        InputError: The checkpoint or the device cannot be used.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.extractor: FeatureExtractor | None = None
        self.features_of: Callable[[np.ndarray], np.ndarray]
        if options.features is None:
            self.extractor = self.features_of = _load_extractor(options)
        else:
            from sss.models.feature_files import read_features

            path = options.features
            self.features_of = lambda _photo: read_features(path)
        self.device = self._device()
        self.segmenter = SoftSegmenter(
            options.layers,
            options.solver,
            options.seed,
            options.grouping,
            backend=choose_backend(self.device),
        )

    def _device(self) -> str:
        """Where the segmenter works: where the network is.

        Without a network, ``auto`` is the processor: to ask for a GPU would load torch.
        """
        if self.extractor is not None:
            return str(self.extractor.device)
        if self.options.device != "cuda":
            return "cpu"
        take_own_gpu()
        return "cuda"

    def try_photo(self, photo: Path, folder: Path, startup_seconds: float) -> str | None:
        """Do one photo; what stopped it comes back as one line."""
        line = StageLine(photo)
        try:
            remove_partial_files(folder)  # of a process that was killed
            with one_thread():
                summary = self.do_photo(photo, folder, startup_seconds, line.show)
        except Exception as error:  # of whatever kind: the other photos shall be done
            log.debug("%s: where it happened", photo, exc_info=True)
            return describe_failure(photo, error)
        finally:
            line.clear()
        print(f"{photo}: {summary}", file=sys.stderr)
        return None

    def do_photo(self, path: Path, folder: Path, startup_seconds: float, progress: Progress) -> str:
        """Read, split and write one photo; returns a summary.

        Raises:
            InputError: The photo, its features or the folder cannot be used.
        """
        started = time.perf_counter()
        clock = StageClock(progress)
        with clock.stage("read"):
            photo = read_photo(path, self.options.max_side)
        with clock.stage("features"):
            raw = self.features_of(photo)  # smaller than a large photo
        with clock.stage("reduce"):
            from sss.models.feature_files import graph_inputs

            features, embedding = graph_inputs(raw, photo)
        result = self.segmenter(photo, features, embedding, progress)
        clock.seconds.update(result.seconds)
        count = result.alpha.shape[2]
        if self.options.layers and count < self.options.layers:
            log.warning("%s: only %d layers, the photo has no more parts", path, count)
        _remove(folder / "report.json")  # without it a result counts as unfinished
        with clock.stage("foreground"):
            from sss.layers.foreground import foreground_colours

            foregrounds = foreground_colours(photo, result.alpha)
        with clock.stage("write"):
            write_overview(folder / "overview.png", photo, features, result.alpha)
            write_layers(folder, photo, result.alpha, foregrounds)
            del foregrounds  # the largest array of all
            self._write_raw_features(folder / "features.npy", raw, photo)
        report = self._report(path, result, clock.seconds)
        report["total_seconds"] = round(time.perf_counter() - started, 3)
        report["startup_seconds"] = round(startup_seconds, 3)
        write_report(folder / "report.json", report)
        return f"{count} layers in {report['total_seconds']:.1f} s → {folder}"

    def _write_raw_features(self, path: Path, raw: np.ndarray, photo: np.ndarray) -> None:
        """With --save-features; else remove what an earlier run may have left."""
        if not self.options.save_features:
            _remove(path)
            return
        with whole_file(path) as unfinished:
            if self.extractor and raw.shape[:2] != photo.shape[:2]:
                shape = (*photo.shape[:2], raw.shape[2])
                full = np.lib.format.open_memmap(unfinished, "w+", np.float16, shape)
                self.extractor.full_size(photo, full)
                full.flush()
            else:
                np.save(unfinished, np.clip(raw, -FLOAT16_MAX, FLOAT16_MAX).astype(np.float16))

    def _report(self, path: Path, result: SoftLayers, seconds: dict[str, float]) -> dict[str, Any]:
        options, extractor = self.options, self.extractor
        height, width, layers = result.alpha.shape
        return {
            "photo": str(path),
            "height": height,
            "width": width,
            "layers": layers,
            "components": result.components,
            "solver": options.solver,
            "seed": options.seed,
            "seconds": seconds,
            "peak_memory_mb": peak_memory_mb(),
            "threads": thread_count(),
            "checkpoint": str(extractor.path) if extractor else None,
            "checkpoint_sha256": extractor.sha256 if extractor else None,
            "settings": {
                "layers": options.layers or AUTO,
                "grouping": options.grouping,
                "features": str(options.features) if options.features else None,
                "device": self.device,
                "max_side": options.max_side,
                "save_features": options.save_features,
                "jobs": options.jobs,
            },
            "versions": {
                "sss": __version__,
                "python": platform.python_version(),
                **{package: version(package) for package in PACKAGES},
                **({"torch": version("torch")} if extractor else {}),
            },
        }


def _load_extractor(options: Options) -> FeatureExtractor:
    from sss.models.checkpoints import DEFAULT_CHECKPOINT, pick_device
    from sss.models.predictor import FeatureExtractor

    device = pick_device(options.device)
    if device.type == "cuda":
        take_own_gpu()
    return FeatureExtractor(options.checkpoint or DEFAULT_CHECKPOINT, device)


def take_own_gpu() -> None:
    """Under torchrun, let ``cuda`` mean another GPU for each process of this machine."""
    import torch

    share = own_share()
    if share.local_size > 1 and torch.cuda.is_available():
        torch.cuda.set_device(share.local_rank % torch.cuda.device_count())


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write to {path.parent}: {error.strerror or error}; choose another -o"
        ) from error


def peak_memory_mb() -> float:
    """Most memory this process has held so far, in MB (10⁶ bytes)."""
    if sys.platform == "linux":  # where getrusage may tell the peak of the parent process
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)
