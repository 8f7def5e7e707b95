"""The random walk by products of its sparse matrix with the maps, and by squaring the matrix.

    python benchmarks/random_walk.py [--grid 30 40] [--maps 3]

Both give the maps after 256 steps; the paper's code squares eight times. Affinities are those of
random smooth features, which decide nothing about the time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.spectral.random_walk import affinities, random_walk, transitions


def seconds(do: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    started = time.process_time()
    found = do()
    return time.process_time() - started, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, nargs=2, default=[30, 40])
    parser.add_argument("--maps", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(*options.grid, 16))
    features = 0.5 * ndimage.gaussian_filter(noise, (3, 3, 0))
    maps = rng.random((*options.grid, options.maps))
    transition = transitions(affinities(features), 8)
    flat = maps.reshape(-1, options.maps)

    def products() -> np.ndarray:
        return random_walk(transition, maps, 256).reshape(flat.shape)

    def sparse_squares() -> np.ndarray:
        power = transition
        for _ in range(8):
            power = power @ power
        return power @ flat

    def dense_squares() -> np.ndarray:
        power = transition.toarray()
        for _ in range(8):
            power = power @ power
        return power @ flat

    took, expected = seconds(products)
    print(f"{options.grid[0]}×{options.grid[1]} cells, {transition.nnz} affinities, CPU seconds")
    print(f"256 products           {took:8.3f}")
    for name, do in (
        ("8 squarings, dense ", dense_squares),
        ("8 squarings, sparse", sparse_squares),
    ):
        took, found = seconds(do)
        print(f"{name}    {took:8.3f}   greatest difference {np.abs(found - expected).max():.1e}")


if __name__ == "__main__":
    main()
