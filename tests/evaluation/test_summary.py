import logging

import numpy as np
import pytest

from sss.errors import InputError
from sss.evaluation.bootstrap import bootstrap_counts
from sss.evaluation.records import Record
from sss.evaluation.scores import collect_entries
from sss.evaluation.summary import GroupSummary, summarise_groups


def summarise(records: list[Record], order: tuple[str, ...] = (), **how: int) -> GroupSummary:
    """Of the only group that the records are of."""
    (summary,) = summarise_groups(collect_entries(records, order), **how)
    return summary


def record(
    entry: str, photo: str, sums: dict[str, list], scales: list[float] | None = None
) -> Record:
    count = len(next(iter(sums.values())))
    scales = scales or [float(place) for place in range(2, 2 + count)]
    kind = "features" if count == 1 else "layers"
    return Record(photo, entry, kind, None, None, scales, sums)  # type: ignore[arg-type]


def ones(*values: float) -> list[tuple[float, float]]:
    return [(value, 1.0) for value in values]


def test_ods_is_the_best_scale_for_all_and_ois_the_best_for_each() -> None:
    records = [
        record("a", "x", {"covering": ones(0.2, 0.6, 0.5)}),
        record("a", "y", {"covering": ones(0.9, 0.5, 0.4)}),
        record("a", "z", {"covering": ones(0.1, 0.5, 0.4)}),
    ]
    score = summarise(records).scores["covering", "a"]
    assert score.ods.value == pytest.approx((0.6 + 0.5 + 0.5) / 3)
    assert score.scale == 1
    assert score.ois is not None
    assert score.ois.value == pytest.approx((0.6 + 0.9 + 0.5) / 3)
    np.testing.assert_allclose(score.per_photo, [0.6, 0.5, 0.5])
    np.testing.assert_allclose(score.curve, [1.2 / 3, 1.6 / 3, 1.3 / 3])


def test_the_best_variation_of_information_is_the_smallest() -> None:
    records = [
        record("a", "x", {"vi": ones(2.0, 1.0)}),
        record("a", "y", {"vi": ones(1.5, 2.0)}),
    ]
    score = summarise(records).scores["vi", "a"]
    assert (score.ods.value, score.scale) == (1.5, 1)
    assert score.ois is not None
    assert score.ois.value == 1.25


def test_photos_count_by_their_weight() -> None:
    sums = [{"instance_iou": [(3.0, 4.0)]}, {"instance_iou": [(0.5, 1.0)]}]
    records = [record("a", name, part) for name, part in zip("xy", sums, strict=True)]
    assert summarise(records).scores["instance_iou", "a"].ods.value == 3.5 / 5


def test_boundary_f_sums_counts_before_it_divides() -> None:
    precision = {"x": [(8, 10), (9, 30)], "y": [(0, 0), (5, 20)]}
    recall = {"x": [(4, 10), (9, 10)], "y": [(0, 10), (5, 10)]}
    records = [
        record("a", name, {"boundary_precision": precision[name], "boundary_recall": recall[name]})
        for name in "xy"
    ]
    summary = summarise(records)

    def f(precision: float, recall: float) -> float:
        return 2 * precision * recall / (precision + recall)

    score = summary.scores["boundary_f", "a"]
    np.testing.assert_allclose(score.curve, [f(8 / 10, 4 / 20), f(14 / 50, 14 / 20)])
    assert score.scale == 1
    # Photo x is best at its first scale (0.53 against 0.45), y at its second (0 against 0.33).
    assert score.ois is not None
    assert score.ois.value == pytest.approx(f(13 / 30, 9 / 20))
    # Precision and recall are told where F is best, not each at its own best.
    part = summary.scores["boundary_precision", "a"]
    assert (part.scale, part.ods.value) == (1, 14 / 50)


def test_every_entry_is_scored_on_its_own_photos() -> None:
    values = {"a": {"u": 0.1, "v": 0.2, "w": 0.6}, "b": {"v": 0.5, "w": 0.7}, "c": {"w": 0.4}}
    records = [
        record(entry, photo, {"pri": ones(value, 0)})
        for entry, row in values.items()
        for photo, value in row.items()
    ]
    (summary,) = summarise_groups(collect_entries(records), missing={"c": ["lost"]})
    assert summary.photos == ("u", "v", "w")
    for entry, row in values.items():
        mean = sum(row.values()) / len(row)
        assert summary.scores["pri", entry].ods.value == pytest.approx(mean)
    np.testing.assert_array_equal(summary.scores["pri", "b"].per_photo, [np.nan, 0.5, 0.7])
    assert summary.missing == {"b": ("u",), "c": ("u", "v", "lost")}
    assert summary.label("c") == "c (1 of 3 photos)"
    assert np.isnan(summary.scores["pri", "c"].ods.low)  # one photo has no interval
    assert [one.layers.shape for one in summary.entries] == [(3, 2)] * 3
    # No difference of figures of other photos.
    assert summary.comparisons == ()


def test_entries_that_lack_the_same_photos_are_compared() -> None:
    records = [
        record(entry, photo, {"pri": ones(0.1 * place + 0.05 * (entry == "b"), 0)})
        for entry in "abcd"
        for place, photo in enumerate("uvwx")
        if entry in "cd" or photo in "vw"
    ]
    summary = summarise(records)
    pairs = {(one.reference, one.entry, one.photos) for one in summary.comparisons}
    assert pairs == {("a", "b", 2), ("b", "a", 2), ("c", "d", 4), ("d", "c", 4)}
    (first,) = (one for one in summary.comparisons if (one.reference, one.entry) == ("a", "b"))
    assert first.difference.value == pytest.approx(0.05)


def test_only_photos_common_to_all_entries_count() -> None:
    records = [
        record("a", photo, {"pri": ones(0.1 * place, 0)}) for place, photo in enumerate("uvwx")
    ]
    records += [record("b", photo, {"pri": ones(0.5, 0)}) for photo in "xv"]
    summary = summarise(records, common=True)
    assert summary.photos == ("v", "x")
    assert summary.available == {"a": 4, "b": 2}
    assert summary.scores["pri", "a"].ods.value == pytest.approx(0.2)
    assert summary.comparisons[0].photos == 2


def test_an_entry_that_shares_no_photo_does_not_empty_the_table() -> None:
    records = [record("late", "z", {"pri": ones(0.9, 0)})]
    records += [record(entry, photo, {"pri": ones(0.5, 0)}) for entry in "ab" for photo in "xy"]
    summary = summarise(records, common=True)
    assert summary.left_out == ("late",)
    assert [entry.entry for entry in summary.entries] == ["a", "b"]
    assert summary.photos == ("x", "y")


def test_a_metric_that_a_photo_lacks_does_not_count_there() -> None:
    both = {"instance_iou": ones(0.5), "instance_iou_small": ones(0.25)}
    records = [record("a", "x", both), record("a", "y", {"instance_iou": ones(0.7)})]
    score = summarise(records).scores["instance_iou_small", "a"]
    assert (score.ods.value, score.photos) == (0.25, 1)
    assert np.isnan(score.per_photo[1])
    assert np.isnan(score.ods.low)  # one photo has no spread


def test_figures_that_are_not_finite_are_named_and_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = [record("a", "x", {"pri": ones(np.nan)}), record("a", "y", {"pri": ones(0.5)})]
    with caplog.at_level(logging.WARNING):
        assert summarise(records).scores["pri", "a"].ods.value == 0.5
    assert "pri of a is not finite on 1 photos (x" in caplog.text


def test_entries_stand_in_the_order_asked_for() -> None:
    records = [record(entry, "x", {"pri": ones(0.5)}) for entry in "abc"]
    summary = summarise(records, order=("c", "unknown"))
    assert [entry.entry for entry in summary.entries] == ["c", "a", "b"]


def test_entries_of_changing_scales_are_refused() -> None:
    records = [
        record("a", "x", {"pri": ones(0.5, 0.5)}, [2.0, 3.0]),
        record("a", "y", {"pri": ones(0.5, 0.5)}, [2.0, 4.0]),
    ]
    with pytest.raises(InputError, match=r"a has scales \[2.0, 4.0\] on y but"):
        summarise(records)


def test_no_records_make_no_summary() -> None:
    assert summarise_groups(collect_entries([])) == []


def many(entry: str, shift: float, photos: int = 30, scales: int = 3) -> list[Record]:
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.1, size=(photos, scales))
    values[:, 1] += 0.01
    noise = np.random.default_rng(len(entry)).normal(0, 0.01, size=photos)
    return [
        record(entry, f"p{place:02}", {"covering": ones(*(row + shift + noise[place]))})
        for place, row in enumerate(values)
    ]


def test_bootstrap_chooses_the_scale_anew_as_slow_loops_do() -> None:
    score = summarise(many("a", 0.0), resamples=200).scores["covering", "a"]
    values = np.array([[t for t, _ in r.sums["covering"]] for r in many("a", 0.0)])
    slow = []
    for counts in bootstrap_counts(30, 200, 0).astype(int):
        sample = [row for row, count in zip(values, counts, strict=True) for _ in range(count)]
        slow.append(max(np.mean(sample, axis=0)))
    np.testing.assert_allclose(score.draws, slow)
    np.testing.assert_allclose(score.ods[1:], np.percentile(slow, [2.5, 97.5]))
    assert score.ods.low < score.ods.value < score.ods.high


def test_comparison_tells_the_direction_and_its_mirror() -> None:
    summary = summarise([*many("a", 0.0), *many("bb", 0.05)])
    against = {(one.reference, one.entry): one for one in summary.comparisons}
    ahead, behind = against["a", "bb"], against["bb", "a"]
    scores = [summary.scores["covering", name].ods.value for name in ("bb", "a")]
    assert ahead.difference.value == pytest.approx(scores[0] - scores[1])
    assert 0 < ahead.difference.low < ahead.difference.value < ahead.difference.high
    assert behind.difference == pytest.approx(
        (-ahead.difference[0], *[-e for e in ahead.difference[:0:-1]])
    )
    assert ahead.p == behind.p < 0.001
    assert (ahead.better, ahead.worse) == (30, 0) == (behind.worse, behind.better)


def test_holm_corrects_over_the_entries_of_a_reference() -> None:
    records = [*many("a", 0.0), *many("bb", 0.001), *many("ccc", 0.002)]
    summary = summarise(records)
    family = sorted(
        (one for one in summary.comparisons if one.reference == "a"), key=lambda one: one.p
    )
    assert len(family) == 2
    assert family[0].p_holm == pytest.approx(min(1.0, 2 * family[0].p))
    assert family[1].p_holm == pytest.approx(max(family[0].p_holm, family[1].p))


def test_comparison_keeps_to_photos_that_both_have_the_metric_of() -> None:
    records = [
        record("a", name, {"pri": ones(0.2, 0.1), "covering": ones(0.5, 0.4)}) for name in "xyz"
    ]
    records += [
        record("b", name, {"pri": ones(0.3, 0.1), "covering": ones(0.6, 0.4)}) for name in "xy"
    ]
    records += [record("b", "z", {"pri": ones(0.3, 0.1)})]
    summary = summarise(records)
    assert len(summary.photos) == 3
    covering = next(one for one in summary.comparisons if one.metric == "covering")
    assert covering.photos == 2
    assert covering.difference.value == pytest.approx(0.1)


def test_results_are_the_same_for_the_same_seed() -> None:
    records = [*many("a", 0.0), *many("bb", 0.01)]
    first, again, other = (summarise(records, seed=seed) for seed in (1, 1, 2))
    assert first.comparisons == again.comparisons
    assert first.scores["covering", "a"].ods == again.scores["covering", "a"].ods
    assert first.scores["covering", "a"].ods != other.scores["covering", "a"].ods
