"""Seconds and peak memory of each stage of the segmentation, by photo size.

    python benchmarks/stages.py                              # a photo of scikit-image's
    python benchmarks/stages.py --photo P --features F --sizes 320x320 640x480

Each run has a process of its own, so that one size's peak memory does not hide another's. The
features are not timed: without --features they are the photo's own colours, smoothed.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from skimage import data
from skimage.filters import gaussian
from skimage.io import imread
from skimage.transform import resize

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.segmenter import SOLVERS, SoftSegmenter


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def read_picture(path: Path | None, size: tuple[int, int]) -> np.ndarray:
    picture = data.coffee() if path is None else imread(path)[..., :3]
    return np.clip(resize(picture / 255.0, size, anti_aliasing=True), 0, 1)


def measure(options: argparse.Namespace, size: tuple[int, int]) -> dict[str, dict[str, float]]:
    """One run: seconds and peak memory so far, by stage."""
    photo = read_picture(options.photo, size)
    if options.features:
        features = read_picture(options.features, size)
    else:
        features = gaussian(photo, 2, channel_axis=2)
    peaks = {}

    def note(stage: str, share: float) -> None:
        if share == 1.0:
            peaks[stage] = peak_mb()

    started = time.perf_counter()
    result = SoftSegmenter(solver=options.solver)(photo, features, note)
    seconds = {**result.seconds, "all": time.perf_counter() - started}
    peaks["all"] = peak_mb()
    return {stage: {"seconds": seconds[stage], "peak_mb": peaks[stage]} for stage in seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--features", type=Path, help="3-D features as an image")
    parser.add_argument("--sizes", nargs="+", default=["320x320", "640x480", "640x640"])
    parser.add_argument("--solver", choices=SOLVERS, default="coarse")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--once", metavar="WxH", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        width, height = map(int, options.once.split("x"))
        print(json.dumps(measure(options, (height, width))))
        return
    columns = []
    for size in options.sizes:
        command = [sys.executable, __file__, *sys.argv[1:], "--once", size]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            for _ in range(options.runs)
        ]
        columns.append(runs)
    print(f"solver {options.solver}, median of {options.runs} runs; seconds (peak MB so far)\n")
    print("| stage | " + " | ".join(options.sizes) + " |")
    print("|---|" + "---|" * len(columns))
    stages = dict.fromkeys(stage for runs in columns for stage in runs[0])
    for stage in stages:
        cells = []
        for runs in columns:
            if stage not in runs[0]:
                cells.append("–")
                continue
            seconds = statistics.median(run[stage]["seconds"] for run in runs)
            peak = statistics.median(run[stage]["peak_mb"] for run in runs)
            cells.append(f"{seconds:.2f} s ({peak:.0f})")
        print(f"| {stage} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
