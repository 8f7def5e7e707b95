import numpy as np
import pytest

from sss.errors import InputError
from sss.evaluation.methods.base import Case
from sss.evaluation.methods.hinted import HINTED, Hinted, with_hints
from sss.evaluation.methods.registry import METHODS
from sss.metrics.samples import Matte


def case() -> Case:
    """Two squares on a ground, one of them partly over the other."""
    masks = np.zeros((2, 60, 80), bool)
    masks[0, 10:50, 10:50] = masks[1, 20:40, 40:70] = True
    photo = np.full((60, 80, 3), [0.1, 0.3, 0.6])
    photo[masks[0]], photo[masks[1]] = [0.8, 0.2, 0.1], [0.2, 0.8, 0.1]
    photo += np.random.default_rng(0).normal(0, 0.01, photo.shape)
    return Case(photo.clip(0, 1), photo.clip(0, 1).astype(np.float32), instances=masks)


def given(then: str, hints: str) -> Hinted:
    (method,) = with_hints([one for one in HINTED if one.then == then], [hints])
    assert isinstance(method, Hinted)
    return method


@pytest.mark.parametrize("then", ["masks", "grabcut", "layers", "matting"])
def test_objects_get_layers_that_sum_to_one(then: str) -> None:
    (found,) = given(then, "truth").segment(case())
    assert found.alpha is not None
    np.testing.assert_allclose(found.alpha.sum(axis=2), 1, atol=1e-5)
    truth = case().instances
    for mask, seen in ((truth[0] & ~truth[1], "behind"), (truth[1], "before")):
        layer = np.bincount(found.labels[mask]).argmax()
        right = (found.labels == layer) & mask
        assert right.sum() > 0.95 * mask.sum(), seen


def test_one_mask_of_a_matte_is_the_foreground() -> None:
    alpha = case().instances[0].astype(np.float32)
    only = Case(case().photo, mattes=(Matte(alpha, np.zeros((60, 80), np.uint8)),))
    (found,) = given("masks", "blob:0.05").segment(only)
    assert found.foreground is not None
    assert 0 < np.abs(found.foreground - alpha).sum() < 40


def test_each_hint_makes_a_method() -> None:
    chosen = with_hints([METHODS["hints"], METHODS["fh"]], ["erode:0.01", "dilate", "dilate"])
    assert [method.name for method in chosen] == ["hints:erode:0.01", "hints:dilate", "fh"]


def test_hints_and_methods_belong_together() -> None:
    with pytest.raises(InputError, match="give --instances"):
        with_hints([METHODS["sss-hints"]], [])
    with pytest.raises(InputError, match="choose one with --method"):
        with_hints([METHODS["fh"]], ["erode"])
