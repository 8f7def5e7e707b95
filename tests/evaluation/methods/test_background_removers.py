"""Background removers: the network's file, its mask, and what becomes of it."""

import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sss.errors import InputError
from sss.evaluation.methods import background_removers
from sss.evaluation.methods.background_removers import (
    REMOVERS,
    SalientNetwork,
    eroded_trimap,
    matted,
    open_network,
    with_weights,
)
from sss.evaluation.methods.base import Case
from sss.evaluation.methods.registry import METHODS


def write_network(path: Path, side: int = 320, channels: int = 3) -> Path:
    """A network whose mask is the mean of the normalised colours."""
    shape = [1, channels, side, side]
    given = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, shape)
    found = helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, side, side])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    mean = helper.make_node("ReduceMean", ["input.1", "axes"], ["mask"], keepdims=1)
    graph = helper.make_graph([mean], "mean", [given], [found], [axes])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_network(tmp_path / "mean.onnx")


def bright_square() -> np.ndarray:
    photo = np.full((90, 120, 3), 0.2)
    photo[25:70, 30:90] = 0.9
    return photo


@pytest.mark.parametrize("side", [320, 1024])
def test_masks_have_the_photos_size_and_the_whole_range(tmp_path: Path, side: int) -> None:
    network = SalientNetwork(write_network(tmp_path / "mean.onnx", side))
    mask = network(bright_square())
    assert network.side == side
    assert mask.shape == (90, 120)
    assert 0 <= mask.min() < 0.1
    assert 0.9 < mask.max() <= 1
    assert mask[30:65, 35:85].min() > 0.8  # resampling rings at the edges
    assert mask[:20].max() < 0.2


def test_each_remover_gets_the_network(weights: Path) -> None:
    case = Case(bright_square())
    for method in with_weights(REMOVERS[:2], [weights]):
        (result,) = pickle.loads(pickle.dumps(method)).segment(case)  # as other processes get it
        assert result.foreground is not None
        assert result.foreground[45, 60] > 0.8
        assert result.foreground[5, 5] < 0.2
        assert np.array_equal(result.labels, np.where(result.foreground < 0.5, 1, 0))
        assert result.alpha is not None
        np.testing.assert_allclose(result.alpha.sum(axis=2), 1, atol=1e-6)


@pytest.mark.slow
def test_the_mask_chooses_our_layers(weights: Path) -> None:
    photo = bright_square()
    (method,) = with_weights(REMOVERS[2:], [weights])
    photo = np.kron(photo, np.ones((2, 2, 1)))  # larger than the solver's grid
    (result,) = method.segment(Case(photo, embedding=photo.astype(np.float32)))
    assert method.needs == "embedding"
    assert result.foreground is not None
    assert result.foreground[60:130, 70:170].min() > 0.9
    assert result.foreground[:40].max() < 0.1


def test_several_networks_make_several_methods(weights: Path, tmp_path: Path) -> None:
    other = write_network(tmp_path / "other.onnx", 1024)
    methods = with_weights([METHODS["fh"], *REMOVERS], [weights, other])
    assert [method.name for method in methods] == [
        "fh",
        *(f"{one.name}:{stem}" for one in REMOVERS for stem in ("mean", "other")),
    ]


def test_unusable_weights_are_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("no network")
    small = write_network(tmp_path / "small.onnx", 64)
    grey = write_network(tmp_path / "grey.onnx", 320, 1)
    for weights, reason in (
        ([], "--method u2net needs a network: give --weights"),
        ([tmp_path / "none.onnx"], "is no file"),
        ([text], "is no network for ONNX Runtime"),
        ([small], r"\[1, 3, 64, 64\]; expected"),
        ([grey], r"\[1, 1, 320, 320\]; expected"),
    ):
        with pytest.raises(InputError, match=reason) as refused:
            with_weights(REMOVERS, weights)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="--weights is for the methods u2net, "):
        with_weights([METHODS["fh"]], [text])


def test_the_trimap_is_eroded_on_both_sides() -> None:
    mask = np.zeros((60, 80))
    mask[15:45, 20:60] = 1
    trimap = eroded_trimap(mask)
    assert np.unique(trimap).tolist() == [0, 128, 255]
    assert (trimap[30] == 255).sum() == 40 - 9
    assert trimap[0, 0] == 0  # beyond the photo's edge the background goes on
    assert trimap[30, 14] == 0
    assert (trimap[30, 16:24] == 128).all()


def test_matting_keeps_a_mask_that_leaves_nothing_certain() -> None:
    for value in (0.0, 0.5, 1.0):
        mask = np.full((30, 40), value)
        assert matted(np.zeros((30, 40, 3)), mask) is mask


def test_a_network_is_loaded_once(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_network(str(weights)) is open_network(str(weights))
    monkeypatch.setattr(background_removers, "SalientNetwork", None)
    open_network(str(weights))
