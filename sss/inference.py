"""infer.py's work: options, one photo from file to folder, many photos."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from sss import __version__
from sss.errors import InputError
from sss.layers.export import write_layers, write_report
from sss.layers.overview import write_overview
from sss.layers.photo import MIN_SIDE, find_photos, read_photo
from sss.segmenter import SOLVERS, SoftSegmenter

log = logging.getLogger(__name__)

AUTO = "auto"
MOST_LAYERS = 40
"""More layers than components to group make no sense."""


@dataclass(frozen=True)
class Options:
    """What the command line asked for; the attributes are its options."""

    photos: list[Path]
    out: Path
    checkpoint: Path | None
    features: Path | None
    layers: int | None
    solver: str
    device: str
    seed: int
    max_side: int | None
    save_features: bool
    overwrite: bool
    jobs: int


class _Parser(argparse.ArgumentParser):
    """Argument errors become the project's one-line errors."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (--help lists the options)")


def parse_options(arguments: list[str] | None = None) -> Options:
    """Read the command line.

    Raises:
        InputError: Unknown options or values that make no sense.
        SystemExit: After --help.
    """
    parser = _Parser(prog="infer.py", description="Split photos into soft layers.")
    parser.add_argument("photos", nargs="+", type=Path, metavar="IMAGE_OR_DIR")
    parser.add_argument("-o", "--out", type=Path, default=Path("out"), help="default: out")
    parser.add_argument(
        "--layers", default="5", metavar="K|auto", help="layers per photo; auto: 2 to 8 (default 5)"
    )
    parser.add_argument("--overwrite", action="store_true", help="do photos again that are done")
    advanced = parser.add_argument_group("network and features")
    advanced.add_argument("--checkpoint", type=Path, help=".safetensors or run folder")
    advanced.add_argument("--features", type=Path, help="use these in place of the network's")
    advanced.add_argument("--save-features", action="store_true", help="write features.npy too")
    advanced.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    core = parser.add_argument_group("spectral core")
    core.add_argument("--solver", default="coarse", choices=SOLVERS)
    core.add_argument("--seed", type=int, default=0)
    core.add_argument("--max-side", type=int, metavar="PX", help="shrink larger photos first")
    core.add_argument("-j", "--jobs", type=int, default=1, help="photos done at once (default 1)")
    given = vars(parser.parse_args(arguments))
    given["layers"] = _layer_count(given["layers"])
    _check_numbers(given)
    return Options(**given)


def _layer_count(text: str) -> int | None:
    """``--layers``: a number, or None for ``auto``."""
    if text == AUTO:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MOST_LAYERS:
        raise InputError(f"--layers is '{text}', expected 1 to {MOST_LAYERS}, or '{AUTO}'")
    return int(text)


def _check_numbers(given: dict[str, Any]) -> None:
    if given["jobs"] < 1:
        raise InputError(f"-j is {given['jobs']}, expected 1 or more")
    if not 0 <= given["seed"] < 2**32:
        raise InputError(f"--seed is {given['seed']}, expected 0 to {2**32 - 1}")
    if given["max_side"] is not None and given["max_side"] < MIN_SIDE:
        raise InputError(f"--max-side is {given['max_side']}, expected {MIN_SIDE} or more pixels")
    if given["features"] is not None and given["checkpoint"] is not None:
        raise InputError("--features replaces the network, so --checkpoint has no use; give one")


def run(options: Options, startup_seconds: Callable[[], float]) -> int:
    """Split all photos; 0 if all went well, 2 if one could not be done (the others are)."""
    photos = find_photos(options.photos)
    if options.features is not None and len(photos) > 1:
        raise InputError(f"--features belongs to one photo, but {len(photos)} were given")
    folders = output_folders(photos, options.out)
    tasks = [
        (photo, folder)
        for photo, folder in zip(photos, folders, strict=True)
        if options.overwrite or not _is_done(photo, folder)
    ]
    if not tasks:
        return 0
    _check_writable(options.out)
    if options.jobs > 1 and len(tasks) > 1:
        failures = _run_parallel(tasks, options)
    else:
        worker = PhotoWorker(options)
        startup = startup_seconds()
        failures = [worker.try_photo(*task, startup) for task in tasks]
    failed = [failure for failure in failures if failure]
    for failure in failed:
        print(f"error: {failure}", file=sys.stderr)
    if failed and len(photos) > 1:
        print(f"{len(failed)} of {len(photos)} photos could not be done", file=sys.stderr)
    return 2 if failed else 0


def output_folders(photos: list[Path], out: Path) -> list[Path]:
    """``out/STEM`` per photo; ``out/STEM_SUFFIX`` where photos share a stem."""
    stems = Counter(photo.stem for photo in photos)
    names = [
        photo.stem if stems[photo.stem] == 1 else f"{photo.stem}_{photo.suffix.lstrip('.')}"
        for photo in photos
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"several photos would be written to {out / twice[0]}; split them in separate calls "
            "with another -o each"
        )
    return [out / name for name in names]


def _is_done(photo: Path, folder: Path) -> bool:
    """The report is written last, so where it is all else is."""
    done = (folder / "report.json").is_file()
    if done:
        print(f"{photo}: done already in {folder} (--overwrite does it again)", file=sys.stderr)
    return done


def _check_writable(folder: Path) -> None:
    """Find out before the work that nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror or error}; choose another -o"
        ) from error


class PhotoWorker:
    """Does one photo after the other with one loaded network.

    Args:
        options: Of the command line.

    Raises:
        InputError: The checkpoint or the device cannot be used.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.segmenter = SoftSegmenter(options.layers, options.solver, options.seed)
        self.extractor = None
        if options.features is None:
            from sss.features.checkpoints import DEFAULT_CHECKPOINT, pick_device
            from sss.features.extractor import FeatureExtractor

            self.extractor = FeatureExtractor(
                options.checkpoint or DEFAULT_CHECKPOINT, pick_device(options.device)
            )

    def try_photo(self, photo: Path, folder: Path, startup_seconds: float) -> str | None:
        """Do one photo; what stopped it comes back as one line."""
        try:
            self.do_photo(photo, folder, startup_seconds)
        except MemoryError:
            return f"{photo}: not enough memory; give --max-side 1000 or less"
        except (InputError, RuntimeError) as error:
            message = " ".join(str(error).split())
            return message if str(photo) in message else f"{photo}: {message}"
        return None

    def do_photo(self, path: Path, folder: Path, startup_seconds: float) -> None:
        """Read, split and write one photo.

        Raises:
            InputError: The photo, its features or the folder cannot be used.
        """
        started = time.perf_counter()
        clock = _StageClock(path)
        with clock.stage("read"):
            photo = read_photo(path, self.options.max_side)
        with clock.stage("features"):
            raw = self._raw_features(photo)
        with clock.stage("reduce"):
            from sss.features.files import as_graph_features

            features = as_graph_features(raw, photo)
        result = self.segmenter(photo, features, clock.show)
        clock.seconds.update(result.seconds)
        if self.options.layers and result.alpha.shape[2] < self.options.layers:
            log.warning(
                "%s: only %d layers, the photo has no more parts", path, result.alpha.shape[2]
            )
        with clock.stage("foreground"):
            from sss.layers.foreground import foreground_colours

            foregrounds = foreground_colours(photo, result.alpha)
        with clock.stage("write"):
            (folder / "report.json").unlink(missing_ok=True)
            write_layers(folder, photo, result.alpha, foregrounds)
            write_overview(folder / "overview.png", photo, features, result.alpha)
            self._write_raw_features(folder / "features.npy", raw)
        report = self._report(path, result.alpha.shape, result.components, clock.seconds)
        report["total_seconds"] = round(time.perf_counter() - started, 3)
        report["startup_seconds"] = round(startup_seconds, 3)
        write_report(folder / "report.json", report)
        clock.finish(
            f"{result.alpha.shape[2]} layers in {report['total_seconds']:.1f} s → {folder}"
        )

    def _raw_features(self, photo: np.ndarray) -> np.ndarray:
        if self.extractor is not None:
            return self.extractor(photo)
        from sss.features.files import read_features

        assert self.options.features is not None
        return read_features(self.options.features)

    def _write_raw_features(self, path: Path, raw: np.ndarray) -> None:
        """With --save-features; else remove what an earlier run may have left."""
        from sss.files import whole_file

        if not self.options.save_features:
            path.unlink(missing_ok=True)
            return
        with whole_file(path) as partial:
            np.save(partial, np.clip(raw, -65504, 65504).astype(np.float16))

    def _report(
        self, path: Path, shape: tuple[int, ...], components: int, seconds: dict[str, float]
    ) -> dict[str, Any]:
        options, extractor = self.options, self.extractor
        packages = ["numpy", "scipy", "scikit-image", "scikit-learn"]
        return {
            "photo": str(path),
            "height": shape[0],
            "width": shape[1],
            "layers": shape[2],
            "components": components,
            "solver": options.solver,
            "seed": options.seed,
            "seconds": seconds,
            "peak_memory_mb": peak_memory_mb(),
            "checkpoint": str(extractor.path) if extractor else None,
            "checkpoint_sha256": extractor.sha256 if extractor else None,
            "settings": {
                "layers": options.layers or AUTO,
                "features": str(options.features) if options.features else None,
                "device": str(extractor.device) if extractor else options.device,
                "max_side": options.max_side,
                "save_features": options.save_features,
                "jobs": options.jobs,
            },
            "versions": {
                "sss": __version__,
                "python": platform.python_version(),
                **{package: version(package) for package in packages},
                **({"torch": version("torch")} if extractor else {}),
            },
        }


class _StageClock:
    """Seconds per stage; shows the stage on one changing line, or line by line without a screen."""

    def __init__(self, photo: Path) -> None:
        self.seconds: dict[str, float] = {}
        self._photo = photo
        self._live = sys.stderr.isatty()
        self._stage = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.show(name, 0.0)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 4)

    def show(self, name: str, share: float) -> None:
        if self._live:
            percent = f" {share:4.0%}" if 0 < share < 1 else ""
            print(f"\r\x1b[K{self._photo.name}: {name}{percent}", end="", file=sys.stderr)
        elif name != self._stage:
            print(f"{self._photo.name}: {name} …", file=sys.stderr)
        self._stage = name
        sys.stderr.flush()

    def finish(self, summary: str) -> None:
        start = "\r\x1b[K" if self._live else ""
        print(f"{start}{self._photo}: {summary}", file=sys.stderr)


def peak_memory_mb() -> float:
    """Most memory this process has held so far, in MB (10⁶ bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


_worker: PhotoWorker | None = None


def _start_worker(options: Options) -> None:
    global _worker
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    _worker = PhotoWorker(options)


def _do_task(photo: Path, folder: Path) -> str | None:
    assert _worker is not None
    return _worker.try_photo(photo, folder, startup_seconds=0.0)


def _run_parallel(tasks: list[tuple[Path, Path]], options: Options) -> list[str | None]:
    """Photos side by side in processes of their own, the cores shared out among them."""
    PhotoWorker(options)  # a bad checkpoint is one error here, not one in each process
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    pool = ProcessPoolExecutor(
        min(options.jobs, len(tasks)),
        multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(options,),
    )
    with pool:
        futures = [pool.submit(_do_task, *task) for task in tasks]
        failures: list[str | None] = []
        for (photo, _), future in zip(tasks, futures, strict=True):
            try:
                failures.append(future.result())
            except BrokenProcessPool:
                failures.append(f"{photo}: its process was killed, perhaps for memory; lower -j")
    return failures
