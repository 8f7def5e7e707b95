import dataclasses
import json

import numpy as np
import pytest
from sss.cuda.backend import NumpyBackend

from sss.data.scenes import generate_scene
from sss.evaluation.methods import pipeline
from sss.evaluation.methods.base import Case
from sss.evaluation.methods.pipeline import PIPELINES, SoftSegmentation
from sss.spectral.segmenter import SoftSegmenter

BY_NAME = {method.name: method for method in PIPELINES}


def case_of(seed: int = 3) -> Case:
    """A small scene; features are 5-D: the true alphas, blurred by nothing."""
    scene = generate_scene(seed, (30, 36), regions=(3, 4))
    rng = np.random.default_rng(seed)
    features = scene.alphas @ rng.standard_normal((scene.alphas.shape[2], 5))
    return Case(scene.photo.astype(np.float64), features.astype(np.float32))


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of()


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_results_are_those_of_the_segmenter(name: str, case: Case) -> None:
    method = dataclasses.replace(BY_NAME[name], scales=(2, 3))
    if method.scale_name == "share":
        method = dataclasses.replace(method, scales=(0.3, 0.8))
    results = list(method.segment(case))
    assert len(results) == len(method.scales)
    for scale, result in zip(method.scales, results, strict=True):
        count = {"layers": int(scale)} if method.scale_name == "layers" else {"auto_share": scale}
        alone = dataclasses.replace(method.segmenter, **count)
        expected = alone(case.photo, case.reduced, case.features).alpha
        assert result.alpha is not None
        np.testing.assert_array_equal(result.alpha, expected)
        np.testing.assert_array_equal(result.labels, expected.argmax(axis=2))


def test_components_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = NumpyBackend.smallest_eigenvectors

    def counted(*arguments, **named):
        calls.append(1)
        return real(*arguments, **named)

    monkeypatch.setattr(NumpyBackend, "smallest_eigenvectors", staticmethod(counted))
    case = case_of()
    for name in ("sss", "sss-no-relaxed", "sss-auto", "sss-kmeans"):
        list(dataclasses.replace(BY_NAME[name], scales=BY_NAME[name].scales[:2]).segment(case))
    assert len(calls) == 1
    list(dataclasses.replace(BY_NAME["sss-no-colour"], scales=(2,)).segment(case))
    assert len(calls) == 2


def test_every_result_counts_the_shared_seconds(case: Case) -> None:
    first = next(iter(BY_NAME["sss"].segment(case)))
    (parts,) = [case.memo[key] for key in case.memo if key[1:3] == ("coarse", 0.01) and key[3]]
    shared = sum(parts.seconds.values())
    assert shared > 0
    again = list(dataclasses.replace(BY_NAME["sss-no-relaxed"], scales=(2, 3)).segment(case))
    assert all(result.seconds > shared for result in (first, *again))


def test_same_layers_are_refined_once(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    refined = []
    real = SoftSegmenter.refine

    def counted(self, parts, grouped, progress=None):
        refined.append(grouped.shape[2])
        return real(self, parts, grouped, progress)

    monkeypatch.setattr(pipeline.SoftSegmenter, "refine", counted)
    count = 4
    results = list(SoftSegmentation("many", "", scales=(2, *range(38, 38 + count))).segment(case))
    assert len(refined) == 2  # more layers than components are all components
    assert len(results) == count + 1


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_settings_tell_methods_apart(name: str) -> None:
    own = json.dumps(BY_NAME[name].settings(), sort_keys=True)
    others = [json.dumps(m.settings(), sort_keys=True) for m in PIPELINES if m.name != name]
    assert own not in others
    fewer = dataclasses.replace(BY_NAME[name], scales=(2,))
    assert json.dumps(fewer.settings(), sort_keys=True) != own


def test_a_seed_of_its_own() -> None:
    method = dataclasses.replace(BY_NAME["sss-no-relaxed"], scales=(4,))
    case = case_of()
    other = dataclasses.replace(case, seed=1, memo={})
    (first,), (second,) = method.segment(case), method.segment(other)
    assert first.alpha is not None
    assert second.alpha is not None
    assert not np.array_equal(first.alpha, second.alpha)
