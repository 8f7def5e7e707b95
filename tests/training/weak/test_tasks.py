"""The trainings of the weak path: their losses, validations and crops."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sss.data.image_labels import LabelledPhotos, join
from sss.data.labels_csv import LabelsCsv
from sss.errors import InputError
from sss.image.label_maps import write_label_map
from sss.models.base import ModelConfig
from sss.training.affinity_loss import AffinityLoss
from sss.training.config import LogConfig, OptimConfig
from sss.training.task import ALONE, Place, Share
from sss.training.weak.affinity import AffinityTask, affinity_features
from sss.training.weak.classify import ClassifyTask, mean_average_precision, photo_logits
from sss.training.weak.config import CropConfig, StageRun
from sss.training.weak.crops import CropBatch, Crops
from sss.training.weak.segment import SegmentTask

CPU = torch.device("cpu")


@pytest.fixture
def photos(labelled_folder: Path) -> LabelledPhotos:
    source = LabelsCsv(labelled_folder, "train")
    return join([(source, range(16))])


def run_of(**options: Any) -> StageRun:
    return StageRun(
        "tiny",
        ModelConfig(encoder="mobilenet_v2", weights="none", dropout=0.0),
        CropConfig(crop=64, workers=0, scale=[1.0, 1.0], validation_photos=3),
        OptimConfig(steps=10, batch=4),
        LogConfig(),
        {"stride": 16, "widths": [8, 8], "radius": 3.0, "grid": 8, "freeze_encoder": False}
        | options,
        "cpu",
        "no",
        0,
        1,
    )


PLACE = Place(0, 0, CPU, contextlib.nullcontext)


def batch_of(task: Any, count: int = 3) -> CropBatch:
    return task.samples.collate([task.samples[visit] for visit in range(count)])


def test_each_round_sees_each_photo_once() -> None:
    seen: list[int] = []

    def read(index: int) -> tuple[np.ndarray, np.ndarray]:
        seen.append(index)
        return np.zeros((64, 64, 3), np.uint8), np.full((64, 64), index, np.int32)

    crops = Crops(read, np.eye(5, dtype=bool), CropConfig(crop=64, scale=[1, 1]), 12, seed=3)
    samples = [crops[visit] for visit in range(12)]
    assert sorted(seen[:5]) == sorted(seen[5:10]) == list(range(5))
    assert seen[:5] != seen[5:10]
    for index, (photo, labels, target) in zip(seen, samples, strict=True):
        assert photo.shape == (3, 64, 64)
        assert (labels == index).all()
        assert target.argmax() == index
    again = crops[7]
    assert all(torch.equal(a, b) for a, b in zip(again, samples[7], strict=True))
    with pytest.raises(IndexError):
        crops[12]


def test_the_classifiers_loss(photos: LabelledPhotos) -> None:
    task = ClassifyTask(run_of(), photos, photos, 88)
    network = task.build_network(False, 1).eval()
    batch = batch_of(task)
    assert task.counted(batch) == 3
    logits = network(batch.photos / 255).detach()
    by_hand = 0.0
    for row, targets in zip(logits.tolist(), batch.targets.tolist(), strict=True):
        terms = [
            -(y * np.log(1 / (1 + np.exp(-x))) + (1 - y) * np.log(np.exp(-x) / (1 + np.exp(-x))))
            for x, y in zip(row, targets, strict=True)
        ]
        by_hand += sum(terms) / 2
    assert task.losses(network, batch, PLACE)["loss"].item() == pytest.approx(by_hand, rel=1e-5)


def test_the_classifiers_validation(photos: LabelledPhotos) -> None:
    task = ClassifyTask(run_of(), photos, photos, 88)
    network = task.build_network(False, 1).eval()
    whole = task.examine(network, CPU, ALONE)
    shares = [task.examine(network, CPU, Share(rank, 2)) for rank in (0, 1)]
    assert sorted(whole) == [0, 7, 15]
    assert sorted(shares[0]) + sorted(shares[1]) == [0, 15, 7]
    assert task.scores(shares) == task.scores([whole])
    assert set(task.scores([whole])) == {"map", "ap_blue", "ap_red"}


def test_logits_of_a_photo_of_any_size_are_means_over_it(photos: LabelledPhotos) -> None:
    network = ClassifyTask(run_of(), photos, photos, 88).build_network(False, 1).eval()
    photo = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255)[0]
    np.testing.assert_allclose(photo_logits(network, photo, CPU), expected, atol=1e-4)
    assert np.isfinite(photo_logits(network, photo[:37, :50], CPU)).all()


def test_average_precision_by_hand() -> None:
    targets = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1]], bool)
    scores = np.array([[0.9, 1, 0], [0.8, 2, 0], [0.7, 3, 0], [0.1, 4, 0]])
    found = mean_average_precision(targets, scores)
    assert found[0] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert np.isnan(found[1:]).all()  # nobody, and everybody


@pytest.fixture
def affinity_task(photos: LabelledPhotos, tmp_path: Path) -> AffinityTask:
    labels = tmp_path / "labels"
    for index, photo in enumerate(photos.photos):
        truth = photos.truth(index)
        assert truth is not None
        write_label_map(
            labels / f"{photo.name}.png", np.where(truth[::4, ::4] == 1, -1, truth[::4, ::4])
        )
    return AffinityTask(run_of(), photos, labels, 88)


def test_affinity_losses_are_sums_over_photos(affinity_task: AffinityTask) -> None:
    task = affinity_task
    assert len(task.reader.photos) == 14
    assert len(task.held_out.photos) == 2
    network = task.build_network(False, 1).eval()
    batch = batch_of(task)
    cells = batch.maps[:, 4::8, 4::8]
    assert task.counted(batch) == sum(int((c >= 0).sum() > 1) for c in cells)
    features = network(batch.photos / 255).detach()
    loss = AffinityLoss(3.0, background=0)
    expected = sum(loss.parts(f, c).total.item() for f, c in zip(features, cells, strict=True))
    found = task.losses(network, batch, PLACE)
    assert set(found) == set(task.parts)
    assert sum(value.item() for value in found.values()) == pytest.approx(expected, rel=1e-4)


def test_affinity_validation(affinity_task: AffinityTask) -> None:
    network = affinity_task.build_network(False, 1).eval()
    whole = affinity_task.examine(network, CPU, ALONE)
    scores = affinity_task.scores([whole])
    together = scores["object"] + scores["background"] + 2 * scores["different"]
    assert scores["loss"] == pytest.approx(together)
    photo, _ = affinity_task.held_out(0)
    assert affinity_features(network, photo, CPU).shape == (16, 9, 11)


def test_too_few_affinity_labels(photos: LabelledPhotos, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0 photos have affinity labels .* expected 10 or more"):
        AffinityTask(run_of(), photos, tmp_path, 88)


@pytest.fixture
def segment_task(photos: LabelledPhotos, labelled_folder: Path) -> SegmentTask:
    (labelled_folder / "images").mkdir()
    for path in labelled_folder.glob("*.png"):
        path.rename(labelled_folder / "images" / path.name)
    (labelled_folder / "truth").rename(labelled_folder / "labels")
    run = run_of()
    run.model = ModelConfig(name="unet_plain", base_channels=4, weights="none", dropout=0.0)
    return SegmentTask(run, photos, labelled_folder)


def test_the_segmentations_loss(segment_task: SegmentTask) -> None:
    network = segment_task.build_network(False, 1).eval()
    batch = batch_of(segment_task)
    maps = batch.maps.clone()
    maps[0, :, :32] = -1
    maps[1] = -1
    batch = CropBatch(batch.photos, maps, batch.targets)
    assert segment_task.counted(batch) == 2
    logits = network(batch.photos / 255)[:, :3].detach()
    expected = sum(
        F.cross_entropy(logits[k][:, maps[k] >= 0].T, maps[k][maps[k] >= 0]).item() for k in (0, 2)
    )
    found = segment_task.losses(network, batch, PLACE)["loss"].item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_segmentations_validation(segment_task: SegmentTask) -> None:
    counts = {0: np.array([[8, 10], [1, 4], [0, 0]]), 1: np.array([[2, 10], [1, 4], [0, 0]])}
    scores = segment_task.scores([counts])
    assert scores["mean_iou"] == pytest.approx((10 / 20 + 2 / 8) / 2)
    assert segment_task.validation_sizes() == [2]
    network = segment_task.build_network(False, 1).eval()
    assert 0 <= segment_task.scores([segment_task.examine(network, CPU, ALONE)])["mean_iou"] <= 1
