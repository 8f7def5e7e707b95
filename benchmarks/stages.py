"""Seconds and peak memory of each stage of the segmentation, by photo size.

    python benchmarks/stages.py                              # a photo of scikit-image's
    python benchmarks/stages.py --photo P --features F --sizes 320x320 640x480 --save stages.json
    python benchmarks/stages.py --sizes 365x274 1155x866 3651x2738 --save sizes.json
    python benchmarks/scaling.py sizes.json                  # the same as a plot over the pixels

Each run has a process of its own, so that one size's peak memory does not hide another's, and is
the second in that process: what a first use compiles or loads does not count. The features are not
timed: without --features they are the photo's own colours, smoothed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from skimage import data
from skimage.filters import gaussian
from skimage.io import imread

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.image.resize import resize_linearly
from sss.processes import peak_memory_mb
from sss.spectral import SOLVERS, Settings, SoftSegmenter
from sss.threads import set_thread_count, thread_count


def read_picture(path: Path | None, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1] of ``size``."""
    picture = data.coffee() if path is None else imread(path)[..., :3]
    return np.clip(resize_linearly((picture / 255.0).astype(np.float32), size), 0, 1)


def measure(options: argparse.Namespace, size: tuple[int, int]) -> dict[str, dict[str, float]]:
    """One run: seconds, and peak memory so far, by stage."""
    photo = read_picture(options.photo, size)
    if options.features:
        features = read_picture(options.features, size)
    else:
        small = read_picture(options.photo, (min(size[0], 480), min(size[1], 640)))
        features = resize_linearly(gaussian(small, 2, channel_axis=2), size)
    segmenter = SoftSegmenter(Settings(solver=options.solver))
    segmenter(resize_linearly(photo, (170, 190)), resize_linearly(features, (170, 190)))
    peaks = {}

    def note(stage: str, fraction: float) -> None:
        if fraction == 1.0:
            peaks[stage] = peak_memory_mb()

    started = time.perf_counter()
    result = segmenter(photo, features, progress=note)
    seconds = {**result.seconds, "all": time.perf_counter() - started}
    peaks["all"] = peak_memory_mb()
    return {stage: {"seconds": seconds[stage], "peak_mb": peaks[stage]} for stage in seconds}


def table(sizes: list[str], columns: list[list[dict[str, dict[str, float]]]]) -> str:
    """Markdown: a row per stage, a column per size."""
    lines = ["| stage | " + " | ".join(sizes) + " |", "|---|" + "---|" * len(sizes)]
    for stage in dict.fromkeys(stage for runs in columns for stage in runs[0]):
        cells = []
        for runs in columns:
            if stage not in runs[0]:
                cells.append("–")
                continue
            seconds = [run[stage]["seconds"] for run in runs]
            peak = statistics.median(run[stage]["peak_mb"] for run in runs)
            spread = f"{min(seconds):.2f}–{max(seconds):.2f}"
            cells.append(f"{statistics.median(seconds):.2f} s ({spread}), {peak:.0f} MB")
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--features", type=Path, help="3-D features as an image")
    parser.add_argument(
        "--sizes", nargs="+", default=["481x321", "640x480", "1920x1080", "4000x3000"]
    )
    parser.add_argument("--solver", choices=SOLVERS, default="coarse")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=thread_count())
    parser.add_argument("--save", type=Path, help="also write all runs as JSON")
    parser.add_argument("--once", metavar="WxH", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        set_thread_count(options.threads)
        width, height = map(int, options.once.split("x"))
        print(json.dumps(measure(options, (height, width))))
        return
    columns = []
    for size in options.sizes:
        command = [sys.executable, __file__, *sys.argv[1:], "--once", size]
        columns.append([])
        for run in range(options.runs):
            print(f"{size}, run {run + 1} of {options.runs} …", file=sys.stderr)
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            columns[-1].append(json.loads(done.stdout))
    machine = f"{thread_count()} cores, {platform.machine()}"
    print(
        f"solver {options.solver}, {options.threads} threads, {machine}; median of "
        f"{options.runs} runs (lowest–highest), peak memory so far\n"
    )
    print(table(options.sizes, columns))
    if options.save:
        report = {"solver": options.solver, "threads": options.threads, "machine": machine}
        runs = dict(zip(options.sizes, columns, strict=True))
        options.save.write_text(json.dumps({**report, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
