"""Invented results for the report's tests: photos of unlike difficulty, entries of unlike skill."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sss.evaluation.records import Record
from sss.evaluation.report.write import write_evaluation
from sss.evaluation.run_info import RunInfo
from sss.evaluation.scores import collect_entries
from sss.evaluation.summary import GroupSummary, summarise_groups
from sss.metrics.catalogue import METRICS

SCALES = [float(layers) for layers in range(2, 13)]
THRESHOLDS = [50.0, 100.0, 200.0, 400.0, 800.0, 1600.0]

# How large values of metrics that are no shares are.
_SIZES = {"vi": 4.0, "matte_sad": 60.0, "matte_gradient": 25.0, "matte_connectivity": 50.0}


def invented_records(
    entries: Sequence[str],
    photos: Sequence[str],
    groups: Sequence[str] = ("regions",),
    seed: int = 0,
    only: Sequence[str] = tuple(METRICS),
) -> list[Record]:
    """A record per entry and photo; later entries are worse, every third one goes by thresholds."""
    rng = np.random.default_rng(seed)
    hardness = rng.normal(0, 0.1, len(photos))
    records = []
    for rank, entry in enumerate(entries):
        scales = THRESHOLDS if rank % 3 == 2 else SCALES
        if tuple(groups) == ("features",):
            scales = [0.0]
        best = rng.uniform(0.2, 0.8)
        for place, photo in enumerate(photos):
            course = (np.linspace(0, 1, len(scales)) - best - rng.normal(0, 0.1)) ** 2
            skill = 0.65 - 0.03 * rank - 0.4 * course + hardness[place]
            sums = {}
            for name, metric in METRICS.items():
                if metric.group not in groups or metric.parts or name not in only:
                    continue
                if name.endswith("_small") and place % 4 == 0:
                    continue  # a photo without small objects
                values = np.clip(skill + rng.normal(0, 0.04, len(scales)), 0.01, 0.99)
                values = values if metric.higher else (1 - values) * _SIZES.get(_stem(name), 0.2)
                weight = float(rng.integers(50, 400)) if "boundary" in name else 1.0
                sums[name] = [(float(value * weight), weight) for value in values]
            found = [4000 / scale for scale in scales] if scales is THRESHOLDS else scales
            records.append(
                Record(
                    photo,
                    entry,
                    "features" if tuple(groups) == ("features",) else "layers",
                    "small_cpu",
                    entry,
                    list(scales),
                    sums,
                    [max(1, round(value)) for value in found],
                    (10 ** (1 - rank / 3) * rng.uniform(0.8, 1.2, len(scales))).tolist(),
                    {},
                    f"{rank}{place:04}" + "".join(groups)[:3],
                )
            )
    return records


def _stem(name: str) -> str:
    return name.removesuffix("_unknown")


def invented_cache(
    folder: Path, records: Sequence[Record], size: tuple[int, int] = (48, 32)
) -> None:
    """Thumbnails in plain colours: the scale's place is the red channel, times twenty."""
    width, height = size
    for record in records:
        strip = np.full((height * len(record.scales), width, 3), 90, np.uint8)
        strip[..., 0] = np.repeat(np.arange(len(record.scales)) * 20, height)[:, None]
        Image.fromarray(strip).save(folder / f"{record.key}.webp", quality=60)
        for kind in ("photo", "truth"):
            path = folder / f"{kind}-{record.photo}.webp"
            if not path.exists():
                Image.fromarray(np.full((height, width, 3), 130, np.uint8)).save(path)


def summarised(
    records: Sequence[Record], order: Sequence[str] = (), **how: Any
) -> list[GroupSummary]:
    return summarise_groups(collect_entries(records, order), **how)


@pytest.fixture
def make_records() -> Callable[..., list[Record]]:
    return invented_records


@pytest.fixture
def make_summaries() -> Callable[..., list[GroupSummary]]:
    """Of :func:`invented_records`."""
    return lambda *what, **how: summarised(invented_records(*what, **how))


@pytest.fixture
def summarise() -> Callable[..., list[GroupSummary]]:
    return summarised


@pytest.fixture
def make_report() -> Callable[..., None]:
    """Writes a report of records into a folder, with thumbnails of some of them."""

    def make(folder: Path, records: list[Record], run: RunInfo, pictures: list[Record]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        invented_cache(folder.parent, pictures)
        entries = collect_entries(records)
        write_evaluation(folder, entries, summarise_groups(entries), folder.parent, run)

    return make


@pytest.fixture
def make_cache() -> Callable[..., None]:
    return invented_cache


@pytest.fixture
def run_info() -> RunInfo:
    facts = {
        "Command": "python evaluate.py --config a.yaml --data bsds500",
        "Date": "2026-01-01 12:00",
        "Machine": "2 cores",
        "Commit": "0123456789abcdef, with changes that are not committed",
    }
    return RunInfo("bsds500", "val", 6, facts)
