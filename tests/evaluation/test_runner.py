"""Photos, plans and shares: everything between the options and the report."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sss.distributed import Rank, current_rank
from sss.evaluation import parallel, work
from sss.evaluation.cache import Cache
from sss.evaluation.methods.base import Case, Segmentation
from sss.evaluation.methods.registry import METHODS
from sss.evaluation.models import ColourModel, NetworkModel
from sss.evaluation.open_samples import open_samples
from sss.evaluation.parallel import look_at_photos
from sss.evaluation.plan import Plan, jobs_of
from sss.evaluation.progress import EVERY, Progress
from sss.evaluation.runner import Failure, collect, do_share
from sss.evaluation.samples import Matte, Sample
from sss.evaluation.shrinking import shrink
from sss.evaluation.work import PhotoWork, Wanted

SIZE = (24, 30)
LAB = ColourModel("lab", "lab")


@dataclasses.dataclass(frozen=True)
class Slices:
    """Slices of equal height; alphas if it needs features."""

    name: str = "slices"
    title: str = "slices"
    needs: Any = "features"
    scale_name: str = "layers"
    scales: tuple[int, ...] = (2, 3)
    fails_on: float = -1.0
    calls: list[Case] = dataclasses.field(default_factory=list, compare=False)

    def settings(self) -> dict[str, Any]:
        return {"needs": self.needs}

    def segment(self, case: Case) -> Iterator[Segmentation]:
        self.calls.append(case)
        if case.photo[0, 0, 0] == self.fails_on:
            raise KeyError("odd")
        for scale in self.scales:
            rows = np.arange(case.photo.shape[0]) * scale // case.photo.shape[0]
            labels = np.repeat(rows[:, None], case.photo.shape[1], axis=1)
            soft = np.eye(scale, dtype=np.float32)[labels] if self.needs == "features" else None
            yield Segmentation(labels, soft, 0.5 * scale)


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


def photos(count: int = 4) -> list[tuple[int, str]]:
    return [(index, Samples().name(index)) for index in range(count)]


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


def test_photos_without_regions_measure_no_features(plan: Plan) -> None:
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


def test_records_of_a_photo(plan: Plan) -> None:
    worker = PhotoWork(plan)
    looked = worker.look(1)
    assert [wanted.there for wanted in looked.wanted] == [False] * 4
    assert looked.missing == 4
    assert worker.do(1) == []
    records = {wanted.entry: Cache(plan.cache).read(wanted.key) for wanted in looked.wanted}
    features = records["lab"]
    assert features is not None
    assert (features.kind, features.model, features.method) == ("features", "lab", None)
    assert features.scales == [0.0]
    assert 0 < features.figures["pair_auc"][0][0] < 1
    layers = records["slices · lab"]
    assert layers is not None
    assert (layers.photo, layers.kind, layers.model) == ("photo1", "layers", "lab")
    assert (layers.scales, layers.layers, layers.seconds) == ([2.0, 3.0], [2, 3], [1.0, 1.5])
    assert layers.figures["covering"][0] == (1.0, 1.0)  # two slices are the truth
    assert layers.figures["matte_mse"] == [(0.0, 1.0), (pytest.approx(1 / 6), 1.0)]
    assert layers.settings["method"]["scales"] == [2.0, 3.0]
    with Image.open(plan.cache / f"{layers.key}.webp") as picture:
        assert picture.size == (30, 48)
    for kind in ("photo", "truth"):
        with Image.open(plan.cache / f"{kind}-photo1.webp") as picture:
            assert picture.size == (30, 24)


def test_methods_of_a_model_share_a_case_and_others_have_their_own(plan: Plan) -> None:
    first, second, plain = Slices("a"), Slices("b"), Slices("c", needs="photo")
    plan = dataclasses.replace(plan, methods=(first, second, plain))
    PhotoWork(plan).do(1)
    (case,) = first.calls
    assert second.calls[0] is case
    assert case.features is not None
    assert case.photo.dtype == np.float64
    np.testing.assert_array_equal(case.photo, Samples()[1].photo / 255)
    assert plain.calls[0].features is None
    assert len(plain.calls[0].mattes) == 1


def test_only_what_is_missing_is_made(plan: Plan) -> None:
    PhotoWork(plan).do(1)
    paths = list(plan.cache.glob("*.json"))
    record = next(path for path in paths if json.loads(path.read_text())["kind"] == "features")
    kept = {path: path.stat().st_mtime_ns for path in plan.cache.glob("*.json")}
    added = dataclasses.replace(plan, methods=(*plan.methods, Slices("new", needs="photo")))
    looked = PhotoWork(added).look(1)
    assert [wanted.entry for wanted in looked.wanted if not wanted.there] == ["new"]
    record.write_text("{")
    assert PhotoWork(added).look(1).missing == 2
    assert PhotoWork(added).do(1) == []
    assert [len(method.calls) for method in added.methods] == [1, 1, 1, 1]  # the record: features
    assert json.loads(record.read_text())["photo"] == "photo1"
    touched = {path for path, when in kept.items() if path.stat().st_mtime_ns != when}
    assert touched == {record}


def test_a_method_that_gives_too_few_results_is_an_error(plan: Plan) -> None:
    class Short(Slices):
        def segment(self, case: Case) -> Iterator[Segmentation]:
            yield next(super().segment(case))

    (failure,) = PhotoWork(dataclasses.replace(plan, methods=(Short("short"),))).do(0)
    assert failure.startswith("photo0, short · lab: unexpected ValueError: 1 results for 2 scales")


# --- all photos -----------------------------------------------------------------------------------


def test_a_method_that_raises_stops_only_its_own_result(plan: Plan) -> None:
    broken = Slices("broken", fails_on=2 / 255)
    plan = dataclasses.replace(plan, methods=(broken, Slices()))
    looked, failures = do_share(plan, photos(), 1)
    assert failures == [
        Failure(
            "photo2",
            "photo2, broken · lab: unexpected KeyError: 'odd'; please report it with the photo",
        )
    ]
    wanted = [one for photo in looked for one in photo.wanted]
    records, lost = collect(wanted, plan, failures)
    assert lost == []
    missing = {(one.photo, one.entry) for one in wanted} - {(r.photo, r.entry) for r in records}
    assert missing == {("photo2", "broken · lab")}
    _, failures = do_share(dataclasses.replace(plan, methods=(Slices("broken"),)), photos(), 1)
    assert failures == []


def test_a_photo_that_cannot_be_read(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Samples.__getitem__

    def getitem(self: Samples, index: int) -> Sample:
        if index == 1:
            raise OSError(5, "Input/output error", "disk")
        return read(self, index)

    monkeypatch.setattr(Samples, "__getitem__", getitem)
    looked, failures = do_share(plan, photos(), 1)
    assert failures == [Failure("photo1", "photo1: disk: Input/output error")]
    assert [len(one.wanted) for one in looked] == [3, 0, 3, 4]


def test_results_get_the_names_they_have_in_this_run(plan: Plan) -> None:
    looked, _ = do_share(plan, photos(1), 1)
    renamed = [
        dataclasses.replace(one, entry=f"{one.entry}!", model="other", photo="p")
        for one in looked[0].wanted
    ]
    records, _ = collect(renamed, plan, [])
    assert [record.entry for record in records] == ["lab!", "slices · lab!", "plain!"]
    assert {(record.photo, record.model) for record in records} == {("p", "other")}


def test_results_that_another_machine_kept_to_itself_are_told(plan: Plan) -> None:
    wanted = [Wanted("p1", "sss", None, "a" * 64, False), Wanted("p2", "sss", None, "b" * 64, True)]
    records, (line,) = collect(wanted, plan, [Failure("p2", "p2: odd")])
    assert records == []
    assert line == (
        f"1 results that were made are not in {plan.cache}, such as sss of p1; with several "
        "machines, give --cache a folder that all of them share"
    )


# --- shares, progress, sizes ----------------------------------------------------------------------


def test_shares_are_disjoint_and_whole() -> None:
    items = list(range(11))
    parts = [Rank(rank, 3).part_of(items) for rank in range(3)]
    assert parts[1] == [1, 4, 7, 10]
    assert sorted(parts[0] + parts[1] + parts[2]) == items
    assert Rank().part_of(items) == items
    assert Rank().gather("x") == ["x"]


def test_torchrun_says_which_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert current_rank() == Rank(0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert current_rank() == Rank(2, 4)
    assert not current_rank().is_first
    monkeypatch.setenv("RANK", "4")
    with pytest.raises(ValueError, match="RANK is '4' and WORLD_SIZE '4'; start this with"):
        current_rank()


def test_the_time_left_is_that_of_what_is_not_made_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("sss.evaluation.progress.time.monotonic", lambda: clock[0])
    progress = Progress("evaluating", 100, missing=40)
    progress.done = 60  # of the cache
    clock[0] += 20
    progress.add(10)
    assert capsys.readouterr().err == ""  # too soon for another line
    clock[0] += EVERY
    progress.add(10)
    # 50 s for 20 results, so as long for the other 20.
    assert capsys.readouterr().err == "evaluating: 62 of 100 photos, 0 min 50 s left\n"
    clock[0] += EVERY
    progress.add(20)
    assert capsys.readouterr().err == "evaluating: 63 of 100 photos\n"


def test_shrinking() -> None:
    height, width = 60, 80
    ramp = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    instances = np.zeros((2, height, width), bool)
    instances[0, :, 40:] = True
    instances[1, 0, 0] = True  # lost
    regions = np.full((1, height, width), -1, np.int32)
    regions[0, 30:] = 7
    trimap = np.where(ramp > 0.5, 255, 0).astype(np.uint8)
    photo = np.rint(ramp * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    sample = Sample("p", photo, regions, instances, (Matte(ramp, trimap),))
    assert shrink(sample, None) is sample
    assert shrink(sample, 80) is sample
    small = shrink(sample, 20)
    assert small.photo.shape == (15, 20, 3)
    np.testing.assert_allclose(small.photo[0, :, 0], photo[0, :, 0].reshape(20, 4).mean(1), atol=1)
    assert small.instances.shape == (1, 15, 20)
    assert small.instances[0, 0].tolist() == [False] * 10 + [True] * 10
    assert set(np.unique(small.regions)) == {-1, 7}
    assert (small.regions == 7).mean() == pytest.approx(0.5, abs=0.04)
    assert set(np.unique(small.mattes[0].trimap)) == {0, 255}
    np.testing.assert_allclose(small.mattes[0].alpha[3], ramp[0].reshape(20, 4).mean(1), atol=1e-6)


def test_looking_side_by_side_tells_the_same(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = (METHODS["kmeans-lab"], METHODS["kmeans"])
    data = {"name": "scenes", "root": None, "split": "val", "photos": 2}
    plan = dataclasses.replace(plan, methods=methods, data=data, max_side=40)
    monkeypatch.setattr(work, "open_samples", open_samples)
    alone = look_at_photos(plan, [0, 1], 1, lambda _: None)
    monkeypatch.setattr(parallel, "QUICK", 0)
    done: list[int] = []
    assert look_at_photos(plan, [1, 0], 2, done.append) == alone[::-1]
    assert sorted(done) == [0, 1]
    assert [len(looked.wanted) for looked in alone] == [3, 3]
