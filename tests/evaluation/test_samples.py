"""Smaller copies of samples, and their hashes."""

import dataclasses

import numpy as np
import pytest

from sss.evaluation.samples import sample_hash, shrink_sample
from sss.metrics.samples import Matte, Sample


def sample() -> Sample:
    rng = np.random.default_rng(0)
    matte = Matte(rng.random((4, 5), np.float32), np.full((4, 5), 128, np.uint8))
    return Sample(
        "p",
        rng.integers(0, 255, (4, 5, 3), np.uint8),
        rng.integers(-1, 3, (2, 4, 5), np.int32),
        rng.random((1, 4, 5)) > 0.5,
        (matte,),
    )


@pytest.mark.parametrize("part", ["photo", "regions", "instances", "alpha", "trimap"])
def test_every_part_of_a_sample_matters_but_not_its_name(part: str) -> None:
    before = sample()
    assert sample_hash(dataclasses.replace(before, name="other")) == sample_hash(before)
    if part in ("alpha", "trimap"):
        values = getattr(before.mattes[0], part).copy()
        values[0, 0] = 0
        changed = dataclasses.replace(
            before, mattes=(dataclasses.replace(before.mattes[0], **{part: values}),)
        )
    else:
        values = getattr(before, part).copy()
        values[0, 0, 0] = not values[0, 0, 0] if values.dtype == bool else values[0, 0, 0] + 1
        changed = dataclasses.replace(before, **{part: values})
    assert sample_hash(changed) != sample_hash(before)


def test_a_view_hashes_as_its_copy() -> None:
    turned = dataclasses.replace(sample(), photo=sample().photo[:, ::-1])
    copy = dataclasses.replace(turned, photo=turned.photo.copy())
    assert sample_hash(turned) == sample_hash(copy) != sample_hash(sample())


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
    assert shrink_sample(sample, None) is sample
    assert shrink_sample(sample, 80) is sample
    small = shrink_sample(sample, 20)
    assert small.photo.shape == (15, 20, 3)
    np.testing.assert_allclose(small.photo[0, :, 0], photo[0, :, 0].reshape(20, 4).mean(1), atol=1)
    assert small.instances.shape == (1, 15, 20)
    assert small.instances[0, 0].tolist() == [False] * 10 + [True] * 10
    assert set(np.unique(small.regions)) == {-1, 7}
    assert (small.regions == 7).mean() == pytest.approx(0.5, abs=0.04)
    assert set(np.unique(small.mattes[0].trimap)) == {0, 255}
    np.testing.assert_allclose(small.mattes[0].alpha[3], ramp[0].reshape(20, 4).mean(1), atol=1e-6)


def test_a_mask_matters_and_is_shrunk_as_labels_are() -> None:
    before = sample()
    mask = np.zeros((4, 5), bool)
    mask[:2, :2] = True
    masked = dataclasses.replace(before, mask=mask)
    hashes = {sample_hash(one) for one in (before, masked, dataclasses.replace(masked, mask=~mask))}
    assert len(hashes) == 3
    small = shrink_sample(masked, 3)
    assert small.mask is not None
    assert small.mask.shape == small.photo.shape[:2]
    assert small.mask.dtype == bool
    assert small.mask[0, 0]
    assert not small.mask[-1, -1]
