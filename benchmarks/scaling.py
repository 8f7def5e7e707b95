"""Plot time and memory over the number of pixels, with the fitted exponents.

python benchmarks/stages.py --sizes 365x274 640x480 1155x866 2000x1500 4000x3000 --save sizes.json
python benchmarks/scaling.py sizes.json -o scaling.svg
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure


def exponent(pixels: np.ndarray, values: np.ndarray) -> float:
    """Power p of the ``values ~ pixels^p`` that fits best on logarithmic axes."""
    return float(np.polyfit(np.log(pixels), np.log(values), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measured", type=Path, help="what benchmarks/stages.py --save wrote")
    parser.add_argument("-o", "--out", type=Path, default=Path("scaling.svg"))
    options = parser.parse_args()
    report = json.loads(options.measured.read_text())
    runs_of = {math.prod(map(int, size.split("x"))): runs for size, runs in report["runs"].items()}
    pixels = np.array(sorted(runs_of), float)
    measured = [runs_of[count] for count in sorted(runs_of)]
    stages = list(dict.fromkeys(stage for runs in measured for stage in runs[0]))

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    times, memory = figure.subplots(1, 2)
    for stage in stages:
        seconds = np.array(
            [statistics.median(run[stage]["seconds"] for run in runs) for runs in measured]
        )
        label = f"{stage}, N^{exponent(pixels, seconds):.2f}"
        times.loglog(pixels / 1e6, seconds, "o-", label=label, lw=2.5 if stage == "all" else 1)
        print(f"{label}: " + ", ".join(f"{s:.2f} s" for s in seconds))
    peak = np.array([statistics.median(run["all"]["peak_mb"] for run in runs) for runs in measured])
    # What the process holds before it has seen a pixel does not grow.
    slope, base = np.polyfit(pixels, peak, 1)
    memory.loglog(pixels / 1e6, peak, "o-")
    memory.loglog(pixels / 1e6, base + slope * pixels, "--", lw=1)
    print(f"peak memory: {base:.0f} MB + {slope * 1e6:.0f} MB per megapixel")
    times.set(
        xlabel="megapixels", ylabel="seconds", title=f"{report['solver']}, {report['machine']}"
    )
    memory.set(xlabel="megapixels", ylabel="peak memory (MB)")
    memory.set_title(f"{base:.0f} MB + {slope * 1e6:.0f} MB per megapixel")
    times.legend(fontsize=8)
    for axes in (times, memory):
        axes.grid(True, which="both", alpha=0.3)
    figure.savefig(options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
