"""From the results on single photos to those on the data set, a summary per group of metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import get_args

import numpy as np

from sss.evaluation.bootstrap import RESAMPLES, bootstrap_counts, holm, swap_patterns
from sss.evaluation.scores import Comparison, EntryResults, Score, compare, score_metric
from sss.metrics.catalogue import METRICS, Group, Metric

HEADLINES: dict[Group, tuple[str, ...]] = {
    "features": ("pair_auc", "eer", "precision_at_1", "r_precision", "ami", "ari"),
    "regions": ("covering", "pri", "vi", "boundary_f", "soft_covering"),
    "instances": ("instance_iou", "instance_soft_iou", "recall_50", "recall_75"),
    "mattes": (
        "matte_mse",
        "matte_sad",
        "matte_gradient",
        "matte_connectivity",
        "matte_soft_iou",
    ),
    "masks": ("mask_max_f", "mask_s", "mask_max_e", "mask_mean_e", "mask_mae"),
}
"""Metrics of the main tables and of the paired tests. The first one of a group that was measured
is its main metric: it orders the gallery and chooses the scale of pictures and times."""


@dataclass(frozen=True)
class GroupSummary:
    """All that is said of one group of metrics.

    Attributes:
        group: Which.
        photos: Those that any entry has; with ``common`` those that all have.
        entries: In the order of the tables, with their results on ``photos``.
        available: Entry → how many photos it has, entries that were left out among them.
        missing: Entry → the photos that it should have and lacks; only entries that lack some.
        common: Whether all scores are of the photos that all entries have.
        left_out: Entries left out because they share no photo with the others (with ``common``).
        metrics: Names in the order of the tables.
        scores: (metric, entry) → score, each over the entry's own of ``photos``; entries without a
            metric have none.
        comparisons: For the group's headline metrics and all ordered pairs of entries that have
            the same photos.
    """

    group: Group
    photos: tuple[str, ...]
    entries: tuple[EntryResults, ...]
    available: dict[str, int]
    missing: dict[str, tuple[str, ...]]
    common: bool
    left_out: tuple[str, ...]
    metrics: tuple[str, ...]
    scores: dict[tuple[str, str], Score]
    comparisons: tuple[Comparison, ...]

    @property
    def headlines(self) -> tuple[str, ...]:
        """Metrics of the main table that were measured."""
        return tuple(name for name in HEADLINES[self.group] if name in self.metrics)

    @property
    def main(self) -> str:
        """The metric that decides orders and scales."""
        return (*self.headlines, *self.metrics)[0]

    def note(self, entry: str) -> str:
        """``31 of 50 photos`` for an entry whose figures are of fewer photos than others'."""
        own, all_of_them = self.available[entry], len(self.photos)
        return "" if self.common or own == all_of_them else f"{own} of {all_of_them} photos"

    def label(self, entry: str) -> str:
        """The entry with its note, for plots and terminals."""
        note = self.note(entry)
        return f"{entry} ({note})" if note else entry

    def shown_scale(self, entry: str) -> int:
        """Place of the scale whose pictures and times are shown: the main metric's best."""
        score = self.scores.get((self.main, entry))
        return 0 if score is None else score.scale


def summarise_groups(
    entries: Sequence[EntryResults],
    seed: int = 0,
    resamples: int = RESAMPLES,
    missing: Mapping[str, Sequence[str]] | None = None,
    common: bool = False,
) -> list[GroupSummary]:
    """Scores, intervals and paired tests of every group of metrics that was measured.

    Args:
        entries: See :func:`sss.evaluation.scores.collect_entries`.
        seed: Of the resamples.
        resamples: Of the bootstrap.
        missing: Entry → photos on which it failed; those that others of its group have and it has
            not are found without.
        common: Score all entries on the photos that all of them have. Otherwise each is scored on
            its own, and only those with the same photos are tested against each other.
    """
    summaries = []
    for group in get_args(Group):
        members = [entry for entry in entries if entry.photos_of(group)]
        if members:
            summaries.append(
                _summarise_group(group, members, seed, resamples, missing or {}, common)
            )
    return summaries


def _summarise_group(
    group: Group,
    members: list[EntryResults],
    seed: int,
    resamples: int,
    failed: Mapping[str, Sequence[str]],
    common: bool,
) -> GroupSummary:
    own = {entry.entry: entry.photos_of(group) for entry in members}
    any_has = set.union(*own.values())
    photos = [
        name
        for name in dict.fromkeys(photo for entry in members for photo in entry.photos)
        if name in any_has
    ]
    missing = {
        entry: tuple(dict.fromkeys([*(p for p in photos if p not in has), *failed.get(entry, ())]))
        for entry, has in own.items()
    }
    left_out: tuple[str, ...] = ()
    if common:
        photos, left_out = _common_photos(photos, own)
    entries = [entry.on(photos) for entry in members if entry.entry not in left_out]
    metrics = [
        metric
        for metric in METRICS.values()
        if metric.group == group and any(_measured(entry, metric) for entry in entries)
    ]
    counts = bootstrap_counts(len(photos), resamples, seed)
    scores = {
        (metric.name, entry.entry): score_metric(entry, metric, counts)
        for metric in metrics
        for entry in entries
        if _measured(entry, metric)
    }
    names = tuple(metric.name for metric in metrics)
    headlines = [METRICS[name] for name in HEADLINES[group] if name in names]
    patterns = swap_patterns(len(photos), seed=seed)
    comparisons = [
        comparison
        for metric in headlines
        for comparison in _compare_all(entries, own, metric, counts, patterns, scores)
    ]
    return GroupSummary(
        group,
        tuple(photos),
        tuple(entries),
        {entry: len(has) for entry, has in own.items()},
        {entry: lost for entry, lost in missing.items() if lost},
        common,
        left_out,
        names,
        scores,
        tuple(comparisons),
    )


def _common_photos(
    photos: Sequence[str], own: Mapping[str, set[str]]
) -> tuple[list[str], tuple[str, ...]]:
    """Photos that all entries have, and the entries to leave out lest there be none."""
    common: set[str] = set()
    left_out = []
    # Those with the most photos first: a run that has only begun must not push out the others.
    for entry, has in sorted(own.items(), key=lambda item: -len(item[1])):
        shared = has & common if common else has
        if shared:
            common = shared
        else:
            left_out.append(entry)
    return [photo for photo in photos if photo in common], tuple(left_out)


def _measured(entry: EntryResults, metric: Metric) -> bool:
    return metric.name in entry.sums and bool((entry.sums[metric.name][..., 1::2] > 0).any())


def _compare_all(
    entries: Sequence[EntryResults],
    own: Mapping[str, set[str]],
    metric: Metric,
    counts: np.ndarray,
    patterns: np.ndarray,
    scores: Mapping[tuple[str, str], Score],
) -> Iterator[Comparison]:
    """Every entry against every other; each reference's comparisons are one family for Holm.

    Figures of different photos tell nothing of each other, so their entries are not compared.
    """
    shared = {entry.entry: own[entry.entry].intersection(entry.photos) for entry in entries}
    measured = [entry for entry in entries if (metric.name, entry.entry) in scores]
    found: dict[tuple[str, str], Comparison] = {}
    for reference, entry in permutations(measured, 2):
        if shared[reference.entry] != shared[entry.entry]:
            continue
        turned = found.get((entry.entry, reference.entry))
        if turned is not None:
            found[reference.entry, entry.entry] = turned.turned()
            continue
        pair = (scores[metric.name, reference.entry], scores[metric.name, entry.entry])
        comparison = compare(reference, entry, metric, counts, patterns, pair)
        if comparison is not None:
            found[reference.entry, entry.entry] = comparison
    for reference in measured:
        family = [one for (name, _), one in found.items() if name == reference.entry]
        for one, p in zip(family, holm([one.p for one in family]), strict=True):
            yield replace(one, p_holm=p)
