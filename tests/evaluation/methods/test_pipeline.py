import dataclasses
from collections import Counter

import numpy as np
import pytest

from sss.data.scenes import generate_scene
from sss.errors import InputError
from sss.evaluation.methods import pipeline
from sss.evaluation.methods.base import Case
from sss.evaluation.methods.pipeline import PIPELINES
from sss.splitter import Splitter

BY_NAME = {method.name: method for method in PIPELINES}


def case_of(seed: int = 3) -> Case:
    """A small scene whose embedding is five mixtures of the true alphas."""
    scene = generate_scene(seed, (30, 36), regions=(3, 4))
    rng = np.random.default_rng(seed)
    embedding = scene.alphas @ rng.standard_normal((scene.alphas.shape[2], 5))
    return Case(scene.photo.astype(np.float64), embedding.astype(np.float32))


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of()


def few_scales(name: str) -> pipeline.SoftSegmentation:
    """The method at two of its scales."""
    method = BY_NAME[name]
    return dataclasses.replace(
        method, scales=(2, 3) if method.scale_name == "layers" else (0.3, 0.8)
    )


@pytest.mark.parametrize(
    "name",
    [n if n == "sss" else pytest.param(n, marks=pytest.mark.slow) for n in sorted(BY_NAME)],
)
@pytest.mark.slow
def test_results_are_those_of_the_front_door(name: str, case: Case) -> None:
    method = few_scales(name)
    results = list(method.segment(case))
    for scale, result in zip(method.scales, results, strict=True):
        if method.scale_name == "layers":
            core, count = method.core, int(scale)
        else:
            core, count = dataclasses.replace(method.core, auto_share=scale), "auto"
        scene = Splitter(device="cpu", settings=core).prepare(case.photo, case.embedding)
        expected = scene.layers(count).alpha
        assert result.alpha is not None
        np.testing.assert_array_equal(result.alpha, expected)
        np.testing.assert_array_equal(result.labels, expected.argmax(axis=2))


@pytest.mark.slow
def test_variants_share_components_and_count_their_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared: Counter[float] = Counter()

    class Counted(Splitter):
        def prepare(self, *arguments: object) -> object:  # type: ignore[override]
            prepared[self.settings.colour_weight] += 1
            scene = super().prepare(*arguments)  # type: ignore[arg-type]
            return dataclasses.replace(scene, seconds={"eigenvectors": 1000.0})

    monkeypatch.setattr(pipeline, "Splitter", Counted)
    case = case_of()
    for name in ("sss", "sss-no-relaxed", "sss-auto", "sss-kmeans", "sss-colour"):
        seconds = [result.seconds for result in few_scales(name).segment(case)]
        assert all(1000 < one < 1100 for one in seconds)
    assert prepared == {0.003: 1, 0.01: 1}


@pytest.mark.slow
def test_a_seed_of_its_own() -> None:
    method = dataclasses.replace(BY_NAME["sss-no-relaxed"], scales=(4,))
    case = case_of()
    other = dataclasses.replace(case, seed=1, scenes={})
    (first,), (second,) = method.segment(case), method.segment(other)
    assert first.alpha is not None
    assert second.alpha is not None
    assert not np.array_equal(first.alpha, second.alpha)


def test_the_embedding_of_a_large_photo_is_enlarged_for_single_pixels() -> None:
    embedding = np.random.default_rng(0).random((20, 26, 4), np.float32)
    large = Case(np.zeros((40, 52, 3)), embedding).pixel_embedding
    assert large.shape == (40, 52, 4)
    np.testing.assert_allclose(large.mean(axis=(0, 1)), embedding.mean(axis=(0, 1)), atol=0.01)
    assert Case(np.zeros((20, 26, 3)), embedding).pixel_embedding is embedding
    with pytest.raises(InputError, match="no embedding"):
        _ = Case(np.zeros((20, 26, 3))).pixel_embedding
