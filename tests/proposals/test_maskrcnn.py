import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

import sss.models.weights
from sss.errors import InputError
from sss.proposals.maskrcnn import MaskRCNN, distinct
from sss.proposals.source import open_source


def test_masks_are_thinned_by_hand_worked_rules() -> None:
    masks = np.zeros((5, 2, 10), bool)
    masks[0, :, :5] = masks[1, :, :4] = masks[2, :, 4:] = masks[4, :, :5] = True
    scores = np.array([0.9, 0.8, 0.7, 0.99, 0.4])
    # 3 is empty, 4 below the threshold; IoU of 0 and 1 is 8/10, of 0 and 2 it is 2/20.
    assert distinct(masks, scores, 0.5, 0.7) == [0, 2]
    assert distinct(masks, scores, 0.5, 0.8) == [0, 1, 2]
    assert distinct(masks, scores, 0.85, 1.0) == [0]


def test_numbers_out_of_their_range() -> None:
    with pytest.raises(InputError, match="score_threshold is"):
        open_source("maskrcnn", score_threshold=1.5)
    with pytest.raises(InputError, match="mask_nms is -1"):
        open_source("maskrcnn", mask_nms=-1)


def test_files_that_hold_no_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no file"):
        open_source(f"maskrcnn:{tmp_path / 'missing.pth'}")
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(b"no weights")
        with pytest.raises(InputError) as caught:
            open_source(f"maskrcnn:{path}", "cpu").find(np.zeros((32, 32, 3)), "photo")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="does not hold weights"):
        MaskRCNN(tmp_path / "other.pth", "cpu").find(np.zeros((32, 32, 3)), "photo")


def test_without_a_network_the_ways_out_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(url: str, timeout: float) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(sss.models.weights, "require_answer", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError, match="give --instances maskrcnn") as caught:
        open_source("maskrcnn", "cpu").find(np.zeros((32, 32, 3)), "photo")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_random_weights_go_all_the_way(tmp_path: Path) -> None:
    from torchvision.models.detection import maskrcnn_resnet50_fpn_v2

    torch.manual_seed(0)
    model = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
    torch.save(model.state_dict(), tmp_path / "random.pth")
    photo = np.random.default_rng(0).random((48, 64, 3)).astype(np.float32)
    source = open_source(f"maskrcnn:{tmp_path / 'random.pth'}", "cpu", score_threshold=0.0)
    found = source.find(photo, "photo")
    assert found.masks.shape[1:] == (48, 64)
    assert found.scores == tuple(sorted(found.scores, reverse=True))
    with pytest.raises(InputError, match="found nothing on the photo 'photo'"):
        open_source(f"maskrcnn:{tmp_path / 'random.pth'}", "cpu", 1.0).find(photo, "photo")
