import copy
import math
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sss.data.training import PixelSample, TrainingBatch
from sss.models.registry import build_network
from sss.training.config import TrainConfig
from sss.training.embedding_task import EmbeddingTask
from sss.training.optim import build_optimizer
from sss.training.step import DivergedError, TrainingStep
from sss.training.task import step_seed

SIDE = 32
SEED = 5


def make_batch(pairs: list[bool]) -> TrainingBatch:
    """Random photos; those without pairs have one label, or none at all."""
    generator = torch.Generator().manual_seed(1)
    photos = torch.randint(256, (len(pairs), 3, SIDE, SIDE), generator=generator).byte()
    pixels = [torch.randperm(SIDE**2, generator=generator)[: 10 + i] for i in range(len(pairs))]
    labels = [(p % 3) if has else p[:0] for p, has in zip(pixels, pairs, strict=True)]
    pixels = [p[: len(own)] for p, own in zip(pixels, labels, strict=True)]
    samples = zip(pixels, labels, strict=True)
    return TrainingBatch(photos, [PixelSample(p, torch.arange(len(p)), own) for p, own in samples])


def split(batch: TrainingBatch, parts: int) -> list[TrainingBatch]:
    size = len(batch) // parts
    return [
        TrainingBatch(batch.photos[first : first + size], batch.samples[first : first + size])
        for first in range(0, len(batch), size)
    ]


@pytest.fixture
def make_step(
    tiny_config: TrainConfig, tmp_path: Path, fresh_accelerator: Callable[[], None]
) -> Callable[..., TrainingStep]:
    """Steps with equal networks, whose output of a photo does not depend on the others."""

    def make(loss: Any = None, parts: int = 1, **options: Any) -> TrainingStep:
        fresh_accelerator()
        tiny_config.model.decoder_norm, tiny_config.model.dropout = "group", 0.0
        tiny_config.optim.batch, tiny_config.optim.accumulate = 4, parts
        tiny_config.optim.name, tiny_config.optim.clip, tiny_config.seed = "sgd", 0.0, SEED
        for key, value in options.items():
            section: Any = tiny_config.optim if hasattr(tiny_config.optim, key) else tiny_config
            setattr(section, key, value)
        torch.manual_seed(0)
        network = build_network(tiny_config.model).train()
        accelerator = Accelerator(cpu=True, mixed_precision=tiny_config.precision)
        optimizer = build_optimizer(network, tiny_config.optim)
        config = copy.deepcopy(tiny_config)
        task = EmbeddingTask(config)
        task.loss = loss or task.loss
        return TrainingStep(
            config,
            accelerator,
            *accelerator.prepare(network, optimizer),
            task,
            tmp_path,
        )

    return make


def gradient(network: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def gradient_by_hand(step: TrainingStep, batch: TrainingBatch) -> tuple[float, Tensor]:
    """Mean over the photos with pairs, one at a time: loss and gradient."""
    network, losses, gradients = copy.deepcopy(step.network), [], []
    for photo, sample in zip(batch.photos, batch.samples, strict=True):
        pixels, labels = sample.pixels, sample.labels
        if len(labels.unique()) < 2:
            continue
        network.zero_grad()
        features = network(photo[None] / 255)[0]
        vectors = torch.stack([features[:, p // SIDE, p % SIDE] for p in pixels.tolist()])
        total = torch.zeros(())
        for (v, one), (w, other) in permutations(zip(vectors, labels.tolist(), strict=True), 2):
            d = (v - w).norm()
            total = total + torch.log((1 + torch.exp(d if one == other else -d)) / 2)
        loss = total / (len(labels) * (len(labels) - 1))
        loss.backward()
        losses.append(loss.item())
        gradients.append(gradient(network))
    return sum(losses) / len(losses), torch.stack(gradients).mean(0)


@pytest.mark.parametrize("pairs", [[True] * 4, [True, True, False, True], [False] * 3 + [True]])
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_each_photo_with_pairs_counts_the_same(
    make_step: Callable[..., TrainingStep], pairs: list[bool], parts: int
) -> None:
    batch = make_batch(pairs)
    step = make_step(parts=parts)
    loss, expected = gradient_by_hand(step, batch)
    before = [[p.detach().clone() for p in g["params"]] for g in step.optimizer.param_groups]
    result = step(split(batch, parts), step=0)
    assert result.loss == pytest.approx(loss, rel=1e-5)
    found = gradient(step.network)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert result.grad_norm == pytest.approx(float(expected.norm()), rel=1e-5)
    # Plain SGD at its first step: the rate, with decay on matrices.
    for group, olds in zip(step.optimizer.param_groups, before, strict=True):
        for parameter, old in zip(group["params"], olds, strict=True):
            change = group["lr"] * (parameter.grad + group["weight_decay"] * old)
            assert torch.allclose(parameter, old - change, atol=1e-6)


def test_no_photo_with_pairs(make_step: Callable[..., TrainingStep]) -> None:
    step = make_step()
    result = step([make_batch([False] * 4)], step=0)
    assert (result.loss, result.grad_norm) == (0.0, 0.0)
    assert not gradient(step.network).any()


@pytest.mark.parametrize("factor", [0.1, 2.0])
def test_clipping(make_step: Callable[..., TrainingStep], factor: float) -> None:
    batch = make_batch([True] * 4)
    free = make_step()
    norm = free([batch], step=0).grad_norm
    clipped = make_step(clip=factor * norm)
    assert clipped([batch], step=0).grad_norm == pytest.approx(norm, rel=1e-5)  # as it was
    expected = gradient(free.network) * min(1.0, factor)
    assert torch.allclose(gradient(clipped.network), expected, atol=1e-5 * norm)


def test_steps_follow_the_schedule(make_step: Callable[..., TrainingStep]) -> None:
    step = make_step(lr=0.1, steps=10, head_factor=10.0, bias_factor=2.0)
    step([make_batch([True] * 4)], step=5)
    rates = sorted({group["lr"] for group in step.optimizer.param_groups})
    assert rates == pytest.approx([0.5**0.9, 2 * 0.5**0.9])


def test_labels_are_those_of_the_pixels(make_step: Callable[..., TrainingStep]) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def spy(vectors: Tensor, labels: Tensor) -> Tensor:
        seen.append((vectors.detach(), labels))
        return vectors.sum()

    batch = make_batch([True, False, True, True])
    step = make_step(spy)
    features = step.network(batch.photos / 255).detach().flatten(2)
    step([batch], step=0)
    kept = [0, 2, 3]
    assert len(seen) == 3  # pairs are made within a photo
    for photo, (vectors, labels) in zip(kept, seen, strict=True):
        assert torch.allclose(vectors, features[photo][:, batch.samples[photo].pixels].T, atol=1e-6)
        assert torch.equal(labels, batch.samples[photo].labels)


def test_losses_that_draw_numbers_draw_the_same_however_a_step_is_split(
    make_step: Callable[..., TrainingStep],
) -> None:
    def drawn(parts: int, number: int) -> list[float]:
        numbers: list[float] = []

        def draw(vectors: Tensor, _labels: Tensor) -> Tensor:
            numbers.append(float(torch.rand(())))
            return vectors.sum()

        make_step(draw, parts)(split(make_batch([True] * 4), parts), step=number)
        return numbers

    assert len(set(drawn(1, 0) + drawn(1, 1))) == 8
    assert drawn(1, 0) == drawn(2, 0) == drawn(4, 0)


def test_dropout_follows_from_the_step_alone(make_step: Callable[..., TrainingStep]) -> None:
    def loss(number: int, drawn_before: int) -> float:
        step = make_step(lr=1e-9)
        step.network.backbone.dropout.p = 0.5
        torch.manual_seed(drawn_before)
        return step([make_batch([True] * 4)], number).loss

    assert loss(1, 7) == loss(1, 8)
    assert loss(1, 7) != loss(2, 7)


def test_bf16_leaves_weights_and_losses_in_float32(make_step: Callable[..., TrainingStep]) -> None:
    batch = make_batch([True] * 4)
    exact = make_step()
    types: list[torch.dtype] = []
    hooked = make_step(precision="bf16")
    hooked.network.backbone.head.register_forward_hook(lambda *call: types.append(call[2].dtype))
    results = [step([batch], 0) for step in (exact, hooked)]
    assert types == [torch.bfloat16]
    assert {p.dtype for p in hooked.network.parameters()} == {torch.float32}
    assert results[0].loss != results[1].loss
    assert results[0].loss == pytest.approx(results[1].loss, rel=0.02, abs=1e-3)
    cosine = torch.cosine_similarity(gradient(exact.network), gradient(hooked.network), dim=0)
    assert cosine > 0.98


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_diverges_changes_no_weight(
    make_step: Callable[..., TrainingStep], tmp_path: Path, value: float
) -> None:
    step = make_step(lambda vectors, _labels: vectors.sum() * value)
    before = copy.deepcopy(step.network.state_dict())
    batch = make_batch([True, False, True, True])
    with pytest.raises(DivergedError, match=f"the loss is .* at step 9; lower .*{tmp_path}"):
        step([batch], step=9)
    for key, old in before.items():
        assert torch.equal(step.network.state_dict()[key], old)
    (kept,) = torch.load(tmp_path / "diverged_step_9.pt", weights_only=True)
    assert torch.equal(kept["photos"], batch.photos)
    for ours, theirs in zip(kept["samples"], batch.samples, strict=True):
        assert torch.equal(ours["pixels"], theirs.pixels)


def test_a_step_without_a_folder_keeps_nothing(
    make_step: Callable[..., TrainingStep], tmp_path: Path
) -> None:
    step = make_step(lambda vectors, _labels: vectors.sum() * math.nan)
    step.run_dir = None
    with pytest.raises(DivergedError, match=r"^the loss is nan at step 9; lower [^;]*optim\.clip$"):
        step([make_batch([True] * 4)], step=9)
    assert list(tmp_path.iterdir()) == []


def test_step_seeds_are_distinct_and_stay_what_they_are() -> None:
    seeds = {step_seed(seed, step) for seed in range(5) for step in range(1, 2000)}
    assert len(seeds) == 5 * 1999
    assert len({seed % 2**32 for seed in seeds}) > 9_980  # torch uses the lower half
    assert [step_seed(0, 0), step_seed(3, 700)] == [15793235383387715774, 9896816195910572090]
