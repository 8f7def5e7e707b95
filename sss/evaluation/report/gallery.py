"""Photo, truth and each entry's layers side by side, as pictures inside the page."""

from __future__ import annotations

import base64
import io
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sss.evaluation.report.style import EntryStyle
from sss.evaluation.report.tables import metric_decimals, number, scale_text
from sss.evaluation.summary import GroupSummary
from sss.metrics.catalogue import METRICS

BUDGET = 10_000_000
"""Bytes that all galleries of a page may take together, about; plots and tables add up to 5 MB."""

_BASE64 = 4 / 3
_WEBP_QUALITY = 82

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tile:
    """One picture.

    Attributes:
        title: ``Photo``, ``Truth`` or the entry.
        source: Data URI; empty where there is no picture.
        size: Its width and height in pixels.
        text: The main metric's value; empty for photo and truth.
        detail: The headline metrics' values in words, for the enlarged picture.
        best: Whether no other entry reads better on this photo.
        style: The entry's; None for photo and truth.
    """

    title: str
    source: str
    size: tuple[int, int] = (0, 0)
    text: str = ""
    detail: str = ""
    best: bool = False
    style: EntryStyle | None = None


@dataclass(frozen=True)
class Card:
    """One photo's pictures.

    Attributes:
        photo: Its name.
        tiles: In the order of the page.
        values: The main metric's value of each entry with pictures, None where unknown.
    """

    photo: str
    tiles: tuple[Tile, ...]
    values: tuple[float | None, ...]

    @property
    def values_json(self) -> str:
        """``values`` for the page's script."""
        return json.dumps(self.values)


@dataclass(frozen=True)
class Gallery:
    """The cards of one group, worst first.

    Attributes:
        cards: At most as many as fit into the page.
        entries: Names of the entries with pictures.
        total: How many photos there are in all.
        metric: Title of the main metric.
        higher: Whether more of it is better.
    """

    cards: tuple[Card, ...]
    entries: tuple[str, ...]
    total: int
    metric: str
    higher: bool


def build_gallery(
    summary: GroupSummary,
    cache: Path,
    styles: Mapping[str, EntryStyle],
    budget: float = BUDGET,
) -> Gallery | None:
    """Collect the pictures of one group, each entry at the best scale of its main metric.

    Args:
        summary: Scores of one group.
        cache: Holds ``KEY.webp`` of the records, ``photo-NAME.webp`` and ``truth-NAME.webp``;
            what is missing is shown as missing.
        styles: Of every entry.
        budget: Bytes the gallery may take; beyond it only the worst and the best photos are shown.

    Returns:
        None for features, and where no entry has a picture.
    """
    places = [
        place
        for place, entry in enumerate(summary.entries)
        if any(key and (cache / f"{key}.webp").is_file() for key in entry.keys)
        and (summary.main, entry.entry) in summary.scores
    ]
    if summary.group == "features" or not places:
        return None
    values = np.stack(
        [summary.scores[summary.main, summary.entries[i].entry].per_photo for i in places], axis=1
    )  # (P, E)
    higher = METRICS[summary.main].higher
    order = _worst_first(values, higher)
    sizes = [_bytes_of(summary, cache, places, photo) for photo in range(len(values))]
    shown = _within(order, sizes, budget)
    cards = [_card(summary, cache, styles, places, values, photo) for photo in shown]
    names = tuple(summary.entries[i].entry for i in places)
    return Gallery(tuple(cards), names, len(values), METRICS[summary.main].title, higher)


def _worst_first(values: np.ndarray, higher: bool) -> list[int]:
    """Photos by the mean of the entries' values."""
    known = np.isfinite(values)
    counts = known.sum(axis=1)
    means = np.where(known, values, 0.0).sum(axis=1) / np.maximum(counts, 1)
    keys = np.where(counts > 0, means if higher else -means, np.inf)  # unknown ones last
    return np.argsort(keys, kind="stable").tolist()


def _within(order: Sequence[int], sizes: Sequence[float], budget: float) -> list[int]:
    """All of ``order`` if they fit; else from both of its ends as many as do, at least one."""
    head: list[int] = []
    tail: list[int] = []
    left = budget
    for step in range(len(order)):
        photo = order[step // 2] if step % 2 == 0 else order[-1 - step // 2]
        left -= sizes[photo]
        if left < 0 and head:
            break
        (head if step % 2 == 0 else tail).append(photo)
    return head + tail[::-1]


def _bytes_of(summary: GroupSummary, cache: Path, places: Sequence[int], photo: int) -> float:
    """What a photo's card will take, from the sizes of the files."""
    name = summary.photos[photo]
    total = sum(_size(cache / f"{kind}-{name}.webp") for kind in ("photo", "truth"))
    for place in places:
        entry = summary.entries[place]
        total += _size(cache / f"{entry.keys[photo]}.webp") / len(entry.scales)
    return _BASE64 * total


def _size(path: Path) -> float:
    return path.stat().st_size if path.is_file() else 0.0


def _card(
    summary: GroupSummary,
    cache: Path,
    styles: Mapping[str, EntryStyle],
    places: Sequence[int],
    values: np.ndarray,
    photo: int,
) -> Card:
    name = summary.photos[photo]
    tiles = [
        Tile(title, *_picture(cache / f"{kind}-{name}.webp"))
        for kind, title in (("photo", "Photo"), ("truth", "Truth"))
    ]
    higher = METRICS[summary.main].higher
    digits = metric_decimals(summary, summary.main)
    texts = [number(value, digits) for value in values[photo]]
    known = values[photo][np.isfinite(values[photo])]
    best = number(known.max() if higher else known.min(), digits) if len(known) > 1 else ""
    for place, text in zip(places, texts, strict=True):
        entry = summary.entries[place]
        scale = summary.shown_scale(entry.entry)
        source, size = _picture(cache / f"{entry.keys[photo]}.webp", scale, len(entry.scales))
        tiles.append(
            Tile(
                entry.entry,
                source,
                size,
                text,
                _detail(summary, entry.entry, photo),
                text == best,
                styles[entry.entry],
            )
        )
    row = tuple(float(v) if math.isfinite(v) else None for v in values[photo])
    return Card(name, tuple(tiles), row)


def _detail(summary: GroupSummary, entry: str, photo: int) -> str:
    """The headline metrics of one photo in words, each at its own best scale."""
    told = []
    for name in summary.headlines:
        score = summary.scores.get((name, entry))
        if score is not None and math.isfinite(score.per_photo[photo]):
            value = number(score.per_photo[photo], metric_decimals(summary, name))
            told.append(f"{METRICS[name].title} {value}")
    figures = next(one for one in summary.entries if one.entry == entry)
    if len(figures.scales) > 1:
        told.append(f"picture at scale {scale_text(figures.scales[summary.shown_scale(entry)])}")
    return " · ".join(told)


def _picture(path: Path, place: int = 0, places: int = 1) -> tuple[str, tuple[int, int]]:
    """Data URI and size of one of the equally high thumbnails below each other in ``path``."""
    if not path.is_file():
        return "", (0, 0)
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as strip:
            width, height = strip.width, strip.height // places
            if places > 1:
                cut = strip.crop((0, place * height, width, (place + 1) * height))
                buffer = io.BytesIO()
                cut.save(buffer, "WEBP", quality=_WEBP_QUALITY, method=3)
                content = buffer.getvalue()
    except Exception:  # a damaged or huge one makes Pillow raise almost anything
        log.warning("%s is no picture; the gallery goes without it", path)
        return "", (0, 0)
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}", (width, height)
