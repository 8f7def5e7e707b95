"""Seconds per stage on a GPU, and agreement of its layers with the processor's.

    python benchmarks/gpu.py                    # 640×480 and 4000×3000 on the first GPU
    python benchmarks/gpu.py --device cpu       # without one: torch on the processor, 240×160

The photo is scikit-image's, resized; its own colours, smoothed, stand for the features and are not
timed. The first run of each size warms up and does not count.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from skimage import data
from skimage.filters import gaussian

sys.path.insert(0, str(Path(__file__).parents[1]))

from solvers import agreement

from sss.cuda.torch_backend import TorchBackend
from sss.image.resize import resize_linearly
from sss.spectral import RefinedLayers, Settings, SoftSegmenter

LARGEST_COMPARED = 2_000_000
"""Pixels up to which the processor splits the photo as well, for comparison."""


def measure(
    segmenter: SoftSegmenter, photo: np.ndarray, features: np.ndarray
) -> tuple[RefinedLayers, dict[str, float]]:
    started = time.perf_counter()
    result = segmenter(photo, features)
    return result, {**result.seconds, "all": time.perf_counter() - started}


def report(size: tuple[int, int], device: torch.device, options: argparse.Namespace) -> None:
    photo = resize_linearly(data.coffee().astype(np.float32) / 255, size)
    features = gaussian(resize_linearly(photo, Settings().grid_size(size)), 2, channel_axis=2)
    segmenter = SoftSegmenter(backend=TorchBackend(device))
    measure(segmenter, photo, features)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    runs = [measure(segmenter, photo, features) for _ in range(options.runs)]
    same = all(np.array_equal(runs[0][0].alpha, result.alpha) for result, _ in runs[1:])
    expected, processor = None, {}
    if options.compare_all or size[0] * size[1] <= LARGEST_COMPARED:
        expected, processor = measure(SoftSegmenter(), photo, features)
    print(f"\n{size[1]}×{size[0]}, median of {options.runs} runs\n")
    print("| stage | device | smallest–largest | processor |\n|---|---|---|---|")
    for stage in runs[0][1]:
        seconds = [stages[stage] for _, stages in runs]
        theirs = f"{processor[stage]:.3f} s" if processor else "–"
        spread = f"{min(seconds):.3f}–{max(seconds):.3f}"
        print(f"| {stage} | {statistics.median(seconds):.3f} s | {spread} | {theirs} |")
    print(f"\nruns bit-equal: {'yes' if same else 'NO'}")
    if device.type == "cuda":
        print(f"memory on the device: {torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB")
    if expected is not None:
        agreeing = agreement(runs[0][0].alpha.argmax(axis=2), expected.alpha.argmax(axis=2))
        print(f"strongest layer as the processor's: {agreeing:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="of torch: cuda, cuda:1, cpu")
    parser.add_argument("--sizes", nargs="+", metavar="WxH")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--compare-all", action="store_true", help="compare large photos too")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no GPU that torch can use here; --device cpu shows a small photo on the processor")
        return
    torch.set_num_threads(1)  # bit-equal runs on the processor
    usual = ["640x480", "4000x3000"] if device.type == "cuda" else ["240x160"]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    print(f"torch {torch.__version__} on {name}")
    for size in options.sizes or usual:
        width, height = map(int, size.split("x"))
        report((height, width), device, options)


if __name__ == "__main__":
    main()
