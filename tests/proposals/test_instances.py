import numpy as np
import pytest

from sss.errors import InputError
from sss.proposals.coco_names import COCO_CLASSES
from sss.proposals.instances import Instances


def test_names_count_within_a_class(masks: np.ndarray) -> None:
    both = np.concatenate([masks, masks])
    found = Instances(both, ("person", "dog", "person", "person"))
    assert found.names == ("person 1", "dog 1", "person 2", "person 3")
    assert found.chosen([3, 1]).classes == ("person", "dog")


@pytest.mark.parametrize(
    ("shape", "size", "fits"),
    [((480, 640), (240, 320), True), ((427, 640), (213, 320), True), ((480, 640), (241, 321), True),
     ((480, 640), (244, 320), False), ((64, 48), (48, 64), False)],
)  # fmt: skip
def test_sizes_that_fit_up_to_rounding(
    shape: tuple[int, int], size: tuple[int, int], fits: bool
) -> None:
    given = Instances(np.ones((1, *shape), bool))
    if fits:
        assert given.fitted(size).masks.shape == (1, *size)
    else:
        with pytest.raises(InputError, match="of its shape"):
            given.fitted(size)


def test_a_single_pixel_survives_shrinking() -> None:
    mask = np.zeros((1, 40, 40), bool)
    mask[0, 17, 22] = True
    small = Instances(mask).fitted((10, 10)).masks
    assert np.argwhere(small).tolist() == [[0, 4, 5]]


@pytest.mark.parametrize(
    ("masks", "more", "message"),
    [
        (np.ones((2, 3, 3)), {}, "expected bool"),
        (np.ones((3, 3), bool), {}, "expected bool of T"),
        (np.zeros((1, 3, 3), bool), {}, "mask 0 is empty"),
        (np.ones((2, 3, 3), bool), {"classes": ("one",)}, "1 classes for 2 masks"),
        (np.ones((2, 3, 3), bool), {"scores": (1.0,)}, "1 scores for 2 masks"),
    ],
)
def test_what_is_refused(masks: np.ndarray, more: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Instances(masks, **more)


def test_classes_are_torchvisions() -> None:
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights

    known = MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1.meta["categories"]
    names = {n: name for n, name in enumerate(known) if name not in ("N/A", "__background__")}
    assert names == COCO_CLASSES
    assert len(COCO_CLASSES) == 80
