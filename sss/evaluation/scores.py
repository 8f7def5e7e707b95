"""Scores of one entry by one metric, and of one entry against another.

ODS and OIS as in P. Arbeláez, M. Maire, C. Fowlkes, J. Malik, *Contour Detection and Hierarchical
Image Segmentation*, TPAMI 33(5), 2011, sec. 3.1: the best scale for the data set, and each photo
at its own best scale.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from sss.errors import InputError
from sss.evaluation.bootstrap import percentile_interval, ratio, swap_test
from sss.evaluation.records import Record
from sss.metrics.catalogue import METRICS, Group, Metric, WeightedSum

# The parts of an F-measure are told at the F-measure's best scale: alone, recall is best with the
# most boundaries and precision with the fewest.
_CHOSEN_BY = {part: metric.name for metric in METRICS.values() for part in metric.parts}

log = logging.getLogger(__name__)


class Estimate(NamedTuple):
    """A value and its 95 % bootstrap interval; NaN where one photo is all there is."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class EntryResults:
    """All results of one entry as arrays over P photos and S scales.

    Attributes:
        entry: Its name.
        kind: ``features`` or ``layers``.
        model: Label of the model; None for methods without one.
        method: Name of the method; None for features.
        photos: P names.
        scales: S values of the method's own scale.
        sums: Metric → (P, S, 2) total and weight, or (P, S, 4) those of an F-measure's two parts;
            weight 0 where a photo does not have the metric. Of a metric with T thresholds
            (P, S·T, 2), one scale after the other.
        layers: (P, S) regions or layers found, NaN where unknown.
        seconds: (P, S) wall seconds, NaN where unknown.
        keys: P names of the records' files in the cache; empty where the photo is missing.
    """

    entry: str
    kind: str
    model: str | None
    method: str | None
    photos: tuple[str, ...]
    scales: tuple[float, ...]
    sums: dict[str, np.ndarray]
    layers: np.ndarray
    seconds: np.ndarray
    keys: tuple[str, ...]

    def on(self, photos: Sequence[str]) -> EntryResults:
        """The same of these photos, in their order; of those that it lacks nothing is known."""
        place = {photo: index for index, photo in enumerate(self.photos)}
        there = np.array([photo in place for photo in photos], bool)
        rows = [place.get(photo, 0) for photo in photos]

        def picked(values: np.ndarray, nothing: float) -> np.ndarray:
            chosen = values[rows]
            chosen[~there] = nothing
            return chosen

        return replace(
            self,
            photos=tuple(photos),
            sums={name: picked(sums, 0.0) for name, sums in self.sums.items()},
            layers=picked(self.layers, np.nan),
            seconds=picked(self.seconds, np.nan),
            keys=tuple(self.keys[row] if has else "" for row, has in zip(rows, there, strict=True)),
        )

    def photos_of(self, group: Group) -> set[str]:
        """Names of the photos that have a metric of the group."""
        known = np.zeros(len(self.photos), bool)
        for name, sums in self.sums.items():
            if METRICS[name].group == group:
                known |= has_weight(sums).any(axis=1)
        return {photo for photo, has in zip(self.photos, known, strict=True) if has}


@dataclass(frozen=True)
class Score:
    """One metric of one entry over P photos.

    Attributes:
        ods: At the best scale for the data set.
        ois: With each photo at its own best scale; None where there is a single scale.
        scale: The best scale's place among the entry's scales.
        column: Where the sums of that scale, and of the best threshold, stand.
        curve: (S,) value over all photos at each scale; at the best threshold, of several.
        per_photo: (P,) each photo's value at the best scale; NaN where it has none.
        photos: How many have one.
        draws: (R,) bootstrap values of ``ods``.
    """

    ods: Estimate
    ois: Estimate | None
    scale: int
    column: int
    curve: np.ndarray
    per_photo: np.ndarray
    photos: int
    draws: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Comparison:
    """Entry against reference on the photos that both have, each at its best scale.

    Attributes:
        difference: Entry − reference, with its bootstrap interval.
        p: Of the paired permutation test, two-sided.
        p_holm: Corrected for all entries compared with this reference by this metric.
        photos: How many were compared.
        better: On how many of them the entry is better; ``worse`` alike.
    """

    metric: str
    reference: str
    entry: str
    difference: Estimate
    p: float
    p_holm: float
    photos: int
    better: int
    worse: int

    def turned(self) -> Comparison:
        """The same with reference and entry exchanged."""
        value, low, high = self.difference
        return replace(
            self,
            reference=self.entry,
            entry=self.reference,
            difference=Estimate(-value, -high, -low),
            better=self.worse,
            worse=self.better,
        )


def collect_entries(records: Iterable[Record], order: Sequence[str] = ()) -> list[EntryResults]:
    """Put the records of each entry into arrays; of two for the same photo the later counts.

    Args:
        records: Of all entries and photos that there are; runs may have been interrupted.
        order: Names of entries to be told first; the others follow as they come.

    Raises:
        InputError: Two records of an entry differ in their scales.
    """
    entries: dict[str, dict[str, Record]] = {}
    for record in records:
        entries.setdefault(record.entry, {})[record.photo] = record
    names = [name for name in dict.fromkeys(order) if name in entries]
    names += [name for name in entries if name not in names]
    return [_collect_entry(name, list(entries[name].values())) for name in names]


def best_scale(sums: np.ndarray, higher: bool) -> np.ndarray:
    """(…, S, C) sums → (…) place of the best scale; the first of equals, 0 if none is known."""
    values = ratio(sums)
    return np.argmax(np.where(np.isnan(values), -np.inf, values if higher else -values), axis=-1)


def score_metric(entry: EntryResults, metric: Metric, counts: np.ndarray | None) -> Score:
    """Score one metric of one entry.

    Args:
        entry: Results on P photos.
        metric: Which; the entry must have it.
        counts: (R, P) resamples; None for no interval.
    """
    sums = entry.sums[metric.name]  # (P, S·T, C)
    judge = METRICS[_CHOSEN_BY.get(metric.name, metric.name)]
    judged = entry.sums.get(judge.name, sums)  # an F-measure's choice holds for its parts
    curve = ratio(sums.sum(axis=0))
    column = int(best_scale(judged.sum(axis=0), judge.higher))
    scale, threshold = divmod(column, metric.thresholds)
    per_photo = ratio(sums[:, column])
    known = int(has_weight(sums).any(axis=1).sum())
    draws = np.zeros(0)
    if counts is not None and known > 1:
        values = ratio(np.tensordot(counts, sums, 1))  # (R, S)
        chosen = best_scale(np.tensordot(counts, judged, 1), judge.higher)  # (R,)
        draws = np.take_along_axis(values, chosen[:, None], axis=1)[:, 0]
    ois = None
    if len(entry.scales) > 1:
        at_threshold = slice(threshold, None, metric.thresholds)
        own = best_scale(judged[:, at_threshold], judge.higher)  # (P,)
        picked = sums[:, at_threshold][np.arange(len(sums)), own]  # (P, C)
        repeated = ratio(counts @ picked) if counts is not None and known > 1 else draws
        ois = Estimate(float(ratio(picked.sum(axis=0))), *percentile_interval(repeated))
    ods = Estimate(float(curve[column]), *percentile_interval(draws))
    curve = curve[threshold :: metric.thresholds]
    return Score(ods, ois, scale, column, curve, per_photo, known, draws)


def compare(
    reference: EntryResults,
    entry: EntryResults,
    metric: Metric,
    counts: np.ndarray,
    patterns: np.ndarray,
    scores: tuple[Score, Score],
) -> Comparison | None:
    """Compare two entries by one metric; ``p_holm`` is still ``p``.

    Args:
        reference: Results on P photos.
        entry: Results on the same photos.
        metric: Which both must have.
        counts: (R, P) resamples.
        patterns: (F, P) of :func:`sss.evaluation.bootstrap.swap_patterns`.
        scores: The reference's and the entry's; their scales are kept in the test, while the
            interval chooses them anew in every resample.

    Returns:
        None if no photo has the metric in both.
    """
    sums = [side.sums[metric.name] for side in (reference, entry)]
    at_scale = [part[:, score.column] for part, score in zip(sums, scores, strict=True)]
    known = [has_weight(part) for part in at_scale]
    both = known[0] & known[1]  # (P,)
    if not both.any():
        return None
    if not (both == (known[0] | known[1])).all():
        # The scores rest on different photos: start again from those that both have.
        shared = [photo for photo, has in zip(reference.photos, both, strict=True) if has]
        again = [
            score_metric(side.on(shared), metric, counts[:, both]) for side in (reference, entry)
        ]
        scores = (again[0], again[1])
        at_scale = [part[both][:, score.column] for part, score in zip(sums, scores, strict=True)]
        patterns = patterns[:, both]
    ours, theirs = scores[1], scores[0]
    interval = (float("nan"), float("nan"))
    if both.sum() > 1:
        interval = percentile_interval(ours.draws - theirs.draws)
    p = swap_test(at_scale[0], at_scale[1], patterns)
    gains = (ours.per_photo - theirs.per_photo) * (1 if metric.higher else -1)
    return Comparison(
        metric.name,
        reference.entry,
        entry.entry,
        Estimate(ours.ods.value - theirs.ods.value, *interval),
        p,
        p,
        int(both.sum()),
        int((gains > 0).sum()),
        int((gains < 0).sum()),
    )


def has_weight(sums: np.ndarray) -> np.ndarray:
    """(…, C) sums → (…) bool: whether there is anything to tell."""
    return np.asarray((sums[..., 1::2] > 0).any(axis=-1))


def _collect_entry(name: str, records: Sequence[Record]) -> EntryResults:
    first = records[0]
    for record in records:
        if record.scales != first.scales:
            raise InputError(
                f"{name} has scales {record.scales} on {record.photo} but {first.scales} on "
                f"{first.photo}; evaluate it anew with the same settings on all photos"
            )
    names = [metric for metric in METRICS if any(metric in r.sums for r in records)]
    plain = {metric: _sums(name, metric, records) for metric in names}
    sums = dict(plain)
    for metric in METRICS.values():
        if metric.parts and all(part in plain for part in metric.parts):
            sums[metric.name] = np.concatenate([plain[part] for part in metric.parts], axis=-1)
    return EntryResults(
        name,
        first.kind,
        first.model,
        first.method,
        tuple(record.photo for record in records),
        tuple(first.scales),
        sums,
        _per_scale([record.layers for record in records], len(first.scales)),
        _per_scale([record.seconds for record in records], len(first.scales)),
        tuple(record.key for record in records),
    )


def _sums(name: str, metric: str, records: Sequence[Record]) -> np.ndarray:
    """(P, S·T, 2) totals and weights, zeros where a photo does not have the metric."""
    columns = len(records[0].scales) * METRICS[metric].thresholds
    nothing: list[WeightedSum] = [(0.0, 0.0)] * columns
    sums = np.array([record.sums.get(metric, nothing) for record in records], float)
    broken = ~np.isfinite(sums).all(axis=-1)  # (P, S)
    if (broken & ~(sums[..., 1] == 0)).any():
        photos = [record.photo for record, bad in zip(records, broken, strict=True) if bad.any()]
        log.warning(
            "%s of %s is not finite on %d photos (%s, …); they are passed over",
            *(metric, name, len(photos), photos[0]),
        )
    return np.where(broken[..., None], 0.0, sums)


def _per_scale(rows: Sequence[Sequence[float]], scales: int) -> np.ndarray:
    """(P, S); a photo that does not say is NaN."""
    return np.array([row if len(row) == scales else [np.nan] * scales for row in rows], float)
