"""Plans, single photos, and all photos of a run."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sss.evaluation import work
from sss.evaluation.cache import Cache
from sss.evaluation.methods.base import Case, Segmentation
from sss.evaluation.methods.registry import METHODS
from sss.evaluation.models import ColourModel, NetworkModel
from sss.evaluation.open_samples import open_samples
from sss.evaluation.plan import Plan, jobs_of
from sss.evaluation.records import Record
from sss.evaluation.runner import run_photos
from sss.evaluation.work import PhotoWork
from sss.metrics.samples import Matte, Sample

SIZE = (24, 30)
LAB = ColourModel("lab", "lab")


@dataclasses.dataclass(frozen=True)
class Slices:
    """Slices of equal height; alphas if it needs an embedding."""

    name: str = "slices"
    title: str = "slices"
    needs: Any = "embedding"
    scale_name: str = "layers"
    scales: tuple[int, ...] = (2, 3)

    def __post_init__(self) -> None:
        self.__dict__["calls"] = []

    @property
    def seen(self) -> list[Case]:
        """What it was called with."""
        return self.__dict__["calls"]

    def segment(self, case: Case) -> Iterator[Segmentation]:
        self.seen.append(case)
        for scale in self.scales:
            rows = np.arange(case.photo.shape[0]) * scale // case.photo.shape[0]
            labels = np.repeat(rows[:, None], case.photo.shape[1], axis=1)
            soft = np.eye(scale, dtype=np.float32)[labels] if self.needs == "embedding" else None
            yield Segmentation(labels, soft, 0.5 * scale)


class Broken(Slices):
    """Fails on the third photo."""

    def segment(self, case: Case) -> Iterator[Segmentation]:
        if case.photo[0, 0, 0] == 2 / 255:
            raise KeyError("odd")
        yield from super().segment(case)


class Samples:
    """Four samples, the corner's red is the index; mattes in the odd ones only."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Sample:
        photo = np.random.default_rng(index).integers(0, 255, (*SIZE, 3), np.uint8)
        photo[0, 0] = index
        regions = np.repeat(np.arange(SIZE[0]) // 12, SIZE[1]).reshape(1, *SIZE).astype(np.int32)
        alpha = np.zeros(SIZE, np.float32)
        alpha[:12] = 1
        mattes = (Matte(alpha, np.full(SIZE, 128, np.uint8)),) if index % 2 else ()
        return Sample(self.name(index), photo, regions, np.zeros((0, *SIZE), bool), mattes)

    def name(self, index: int) -> str:
        return f"photo{index}"


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(work, "open_samples", lambda **_: Samples())
    methods = (
        Slices(),
        Slices("plain", needs="photo"),
        Slices("marked", needs="trimap", scales=(2,)),
    )
    return Plan({}, None, (LAB,), methods, 0, tmp_path / "cache", "cpu")


PHOTOS = [(index, Samples().name(index)) for index in range(4)]


# --- plan -----------------------------------------------------------------------------------------


def test_what_is_measured_on_a_photo(plan: Plan) -> None:
    other = ColourModel("lab+position", "lab+position")
    plan = dataclasses.replace(plan, models=(LAB, other))
    entries = [job.entry for job in jobs_of(plan, Samples()[0])]
    assert entries == ["lab", "slices · lab", "lab+position", "slices · lab+position", "plain"]
    assert [job.entry for job in jobs_of(plan, Samples()[1])] == [*entries, "marked"]
    assert plan.entries() == (
        *("lab", "lab+position", "slices · lab", "slices · lab+position", "plain", "marked"),
    )


def test_photos_without_regions_measure_no_embedding(plan: Plan) -> None:
    unlabelled = dataclasses.replace(Samples()[0], regions=np.full((1, *SIZE), -1, np.int32))
    assert [job.entry for job in jobs_of(plan, unlabelled)] == ["slices · lab", "plain"]


def keys(plan: Plan, sample: Sample) -> dict[str, str]:
    return {job.entry: job.key for job in jobs_of(plan, sample)}


def test_keys_change_with_what_the_result_depends_on_and_with_nothing_else(plan: Plan) -> None:
    sample = Samples()[1]
    before = keys(plan, sample)
    assert len(set(before.values())) == 4
    same = dataclasses.replace(plan, device="cuda", cache=Path("elsewhere"), data={"name": "x"})
    assert keys(same, dataclasses.replace(sample, name="renamed")) == before
    assert keys(dataclasses.replace(plan, seed=1), sample).items().isdisjoint(before.items())
    other = dataclasses.replace(sample, regions=sample.regions + 1)
    assert keys(plan, other).items().isdisjoint(before.items())
    scales = dataclasses.replace(plan, methods=(Slices(scales=(2, 4)), *plan.methods[1:]))
    assert changed(keys(scales, sample), before) == {"slices · lab"}
    model = NetworkModel("lab", Path("p"), "abc")
    network = dataclasses.replace(plan, models=(model,))
    assert changed(keys(network, sample), before) == {"lab", "slices · lab"}
    moved = dataclasses.replace(plan, models=(dataclasses.replace(model, path=Path("q")),))
    assert keys(moved, sample) == keys(network, sample)


def changed(now: dict[str, str], before: dict[str, str]) -> set[str]:
    return {entry for entry in before if now[entry] != before[entry]}


# --- one photo ------------------------------------------------------------------------------------


def by_entry(records: tuple[Record, ...]) -> dict[str, Record]:
    return {record.entry: record for record in records}


def test_records_of_a_photo(plan: Plan) -> None:
    result = PhotoWork(plan)(1)
    assert (result.made, result.failures) == (4, ())
    records = by_entry(result.records)
    assert list(records) == ["lab", "slices · lab", "plain", "marked"]
    for record in result.records:
        kept = Cache(plan.cache).read(record.key)
        assert kept is not None
        assert kept.sums == record.sums
    features, layers = records["lab"], records["slices · lab"]
    assert (features.kind, features.model, features.method) == ("features", "lab", None)
    assert features.scales == [0.0]
    assert 0 < features.sums["pair_auc"][0][0] < 1
    assert (layers.photo, layers.kind, layers.model) == ("photo1", "layers", "lab")
    assert (layers.scales, layers.layers, layers.seconds) == ([2.0, 3.0], [2, 3], [1.0, 1.5])
    assert layers.sums["covering"][0] == (1.0, 1.0)  # two slices are the truth
    assert layers.sums["matte_mse"] == [(0.0, 1.0), (pytest.approx(1 / 6), 1.0)]
    assert layers.settings["method"]["scales"] == [2.0, 3.0]
    with Image.open(plan.cache / f"{layers.key}.webp") as picture:
        assert picture.size == (30, 48)
    for kind in ("photo", "truth"):
        with Image.open(plan.cache / f"{kind}-photo1.webp") as picture:
            assert picture.size == (30, 24)


def test_methods_of_a_model_share_a_case_and_others_have_their_own(plan: Plan) -> None:
    first, second, plain = Slices("a"), Slices("b"), Slices("c", needs="photo")
    PhotoWork(dataclasses.replace(plan, methods=(first, second, plain)))(1)
    (case,) = first.seen
    assert second.seen[0] is case
    assert case.embedding is not None
    assert case.photo.dtype == np.float64
    np.testing.assert_array_equal(case.photo, Samples()[1].photo / 255)
    assert plain.seen[0].embedding is None
    assert len(plain.seen[0].mattes) == 1


def test_only_what_is_missing_is_made(plan: Plan) -> None:
    before = PhotoWork(plan)(1).records
    features = plan.cache / f"{before[0].key}.json"
    features.write_text("{")
    when = {path: path.stat().st_mtime_ns for path in plan.cache.glob("*.json")}
    added = dataclasses.replace(plan, methods=(*plan.methods, Slices("new", needs="photo")))
    result = PhotoWork(added)(1)
    assert result.made == 2
    assert [record for record in result.records if record.entry != "new"] == list(before)
    assert [len(method.seen) for method in added.methods] == [1, 1, 1, 1]
    assert {path for path in when if path.stat().st_mtime_ns != when[path]} == {features}


def test_kept_results_get_the_names_they_have_in_this_run(plan: Plan) -> None:
    class Renamed(Samples):
        def name(self, index: int) -> str:
            return f"other{index}"

    before = PhotoWork(plan)(0).records
    again = PhotoWork(dataclasses.replace(plan, models=(ColourModel("mine", "lab"),)))
    again._dataset = Renamed()
    result = again(0)
    assert result.made == 0
    assert [record.entry for record in result.records] == ["mine", "slices · mine", "plain"]
    assert {record.photo for record in result.records} == {"other0"}
    assert [record.model for record in result.records] == ["mine", "mine", None]
    assert [record.key for record in result.records] == [record.key for record in before]


def test_a_method_that_gives_too_few_results_is_an_error(plan: Plan) -> None:
    class Short(Slices):
        def segment(self, case: Case) -> Iterator[Segmentation]:
            yield next(super().segment(case))

    (failure,) = PhotoWork(dataclasses.replace(plan, methods=(Short("short"),)))(0).failures
    assert failure.startswith("photo0, short · lab: unexpected ValueError: 1 results for 2 scales")


# --- all photos -----------------------------------------------------------------------------------


def test_a_method_that_raises_stops_only_its_own_result(plan: Plan) -> None:
    plan = dataclasses.replace(plan, methods=(Broken("broken"), Slices()))
    results = run_photos(plan, PHOTOS)
    assert [failure for one in results for failure in one.failures] == [
        "photo2, broken · lab: unexpected KeyError: 'odd'; please report it with the photo"
    ]
    assert [len(one.records) for one in results] == [3, 3, 2, 3]
    assert [record.entry for record in results[2].records] == ["lab", "slices · lab"]
    mended = run_photos(dataclasses.replace(plan, methods=(Slices("broken"), Slices())), PHOTOS)
    assert [one.made for one in mended] == [0, 0, 1, 0]


@dataclasses.dataclass(frozen=True)
class Diverged:
    """A model whose training diverged."""

    label: str = "diverged"

    def settings(self, photo: str) -> dict[str, Any]:
        return {"diverged": True}

    def open(self, device: str) -> Any:
        return lambda sample: np.full((*sample.photo.shape[:2], 4), np.nan, np.float32)


def test_an_embedding_that_is_not_finite_costs_one_line(plan: Plan) -> None:
    plan = dataclasses.replace(plan, models=(Diverged(), *plan.models))
    (result,) = run_photos(plan, PHOTOS[:1])
    (failure,) = result.failures
    assert failure.startswith("photo0, diverged: the embedding holds NaN or infinite values")
    assert result.missing == ("diverged", "slices · diverged")
    assert {record.entry for record in result.records} == {"lab", "slices · lab", "plain"}


def test_a_photo_that_cannot_be_read(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Samples.__getitem__

    def getitem(self: Samples, index: int) -> Sample:
        if index == 1:
            raise OSError(5, "Input/output error", "disk")
        return read(self, index)

    monkeypatch.setattr(Samples, "__getitem__", getitem)
    results = run_photos(plan, PHOTOS)
    assert results[1].failures == ("photo1: disk: Input/output error",)
    assert [len(one.records) for one in results] == [3, 0, 3, 4]


def test_each_photo_is_decoded_once(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    read, decoded = Samples.__getitem__, []

    def getitem(self: Samples, index: int) -> Sample:
        decoded.append(index)
        return read(self, index)

    monkeypatch.setattr(Samples, "__getitem__", getitem)
    done: list[int] = []
    run_photos(plan, PHOTOS, done=lambda result: done.append(result.made))
    assert decoded == [0, 1, 2, 3]
    assert done == [3, 4, 3, 4]


@pytest.mark.slow
def test_side_by_side_gives_the_same(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = (METHODS["kmeans-lab"], METHODS["kmeans"])
    data = {"name": "scenes", "root": None, "split": "val", "photos": 2}
    plan = dataclasses.replace(plan, methods=methods, data=data, max_side=40)
    monkeypatch.setattr(work, "open_samples", open_samples)
    names = [(0, "scene_val_0000"), (1, "scene_val_0031")]
    alone = run_photos(plan, names)
    beside = dataclasses.replace(plan, cache=plan.cache / "beside")
    for one, other in zip(alone, run_photos(beside, names, jobs=2), strict=True):
        assert [r.sums for r in one.records] == [r.sums for r in other.records]
        assert [r.entry for r in other.records] == ["lab", "kmeans · lab", "kmeans-lab"]
