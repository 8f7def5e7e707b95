import pytest
import torch
from torch.nn import functional as F

from sss.errors import InputError
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.hypercolumn import Hypercolumn, Standardise, _positions
from sss.models.registry import build_network


@pytest.fixture
def network() -> EmbeddingNetwork:
    torch.manual_seed(0)
    config = ModelConfig(
        name="hypercolumn", encoder="mobilenet_v2", hidden=12, dim=8, weights="none", dropout=0.0
    )
    return build_network(config).eval()


def random_photos(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def doubled(values: torch.Tensor, times: int) -> torch.Tensor:
    for _ in range(times):
        size = [2 * side for side in values.shape[-2:]]
        values = F.interpolate(values, size, mode="bilinear", align_corners=False)
    return values


def test_it_is_one_layer_on_the_stack_of_all_scales(network: EmbeddingNetwork) -> None:
    backbone, photos = network.backbone, random_photos(2, 3, 64, 96)
    network.calibrate(random_photos(3, 3, 64, 64))
    rows = (torch.arange(32) - 15.5) / 48  # of the grid of 32×48, in units of its longer side
    columns = (torch.arange(48) - 23.5) / 48
    positions = torch.stack([rows[:, None].expand(32, 48), columns.expand(32, 48)])
    with torch.no_grad():
        normalised = (photos - network.mean) / network.std
        stages = list(network.encoder(normalised)[1:])
        for scale, cell in ((0, 2), (2, 8), (4, 32)):
            b, c, h, w = normalised.shape
            cells = normalised.view(b, c, h // cell, cell, w // cell, cell)
            stages[scale] = torch.cat([stages[scale], cells.mean((3, 5))], dim=1)
        stages[0] = torch.cat([stages[0], positions.expand(2, 2, 32, 48)], dim=1)
        stack = torch.cat(
            [
                doubled((stage - part.mean) / part.std, scale)
                for scale, (stage, part) in enumerate(zip(stages, backbone.scales, strict=True))
            ],
            dim=1,
        )
        weights = torch.cat([part.weight[:, :, 0, 0] for part in backbone.project], dim=1)
        bias = backbone.project[0].bias
        hidden = torch.einsum("hc,bcyx->bhyx", weights, stack) + bias[:, None, None]
        head = torch.einsum("dh,bhyx->bdyx", backbone.head.weight[:, :, 0, 0], hidden.clamp(min=0))
        expected = doubled(head + backbone.head.bias[:, None, None], 1)
        torch.testing.assert_close(network(photos), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_bands_do_not_show(network: EmbeddingNetwork, rows: int) -> None:
    photos = random_photos(2, 3, 32 * rows, 96)
    whole = network(photos).detach()
    with torch.inference_mode():
        torch.testing.assert_close(network(photos), whole)


def test_positions_of_a_part() -> None:
    whole = _positions(torch.zeros(1, 1, 12, 20))
    part = _positions(torch.zeros(1, 1, 5, 6), torch.tensor([4, 2, 12, 20]))
    assert torch.equal(part, whole[:, :, 4:9, 2:8])


def test_positions_by_hand() -> None:
    found = _positions(torch.zeros(3, 5, 2, 4))
    assert found.shape == (3, 2, 2, 4)
    assert found[1, 0].tolist() == [[-0.125] * 4, [0.125] * 4]
    assert found[2, 1].tolist() == [[-0.375, -0.125, 0.125, 0.375]] * 2


def test_pixels_that_look_alike_differ_by_their_place(network: EmbeddingNetwork) -> None:
    grey = torch.full((1, 3, 256, 256), 0.5)
    with torch.no_grad():
        placed = network(grey)[0, :, 128, 96:160:8]  # far from the padding of the convolutions
        assert placed.std(dim=1).min() > 1e-4
        network.backbone.project[0].weight[:, -2:] = 0
        spread = network(grey)[0, :, 128, 96:160:8].std(dim=1).max()
    assert spread < 1e-4


def test_calibration_standardises_every_scale(network: EmbeddingNetwork) -> None:
    photos, backbone = random_photos(4, 3, 70, 64), network.backbone
    assert isinstance(backbone, Hypercolumn)
    assert all(torch.equal(s.std, torch.ones_like(s.std)) for s in backbone.scales)
    network.train()
    network.calibrate(photos)
    assert network.training
    network.eval()
    seen: list[torch.Tensor] = []
    for scale in backbone.scales:
        scale.register_forward_hook(lambda _module, _given, output: seen.append(output))
    with torch.no_grad():
        network(photos)
    assert len(seen) == 5
    assert (backbone.scales[0].std != 1).all()
    for values, scale in zip(seen[::-1], backbone.scales, strict=True):
        mean, std = values.mean((0, 2, 3)), values.std((0, 2, 3), correction=0)
        assert mean.abs().max() < 1e-3
        varied = scale.std.flatten() != 1  # random deep stages have channels that hardly vary
        assert ((std - 1).abs() < 1e-2)[varied].all()
        assert (std[~varied] < 1e-3).all()


def test_constant_channels_stay_harmless() -> None:
    scale = Standardise(2)
    values = torch.stack([torch.full((4, 4), 3.0), torch.arange(16.0).view(4, 4)])[None]
    scale.measure(values)
    assert scale.mean.flatten().tolist() == [3.0, 7.5]
    assert scale.std.flatten().tolist() == pytest.approx([1.0, 21.25**0.5])
    assert torch.equal(scale(values)[0, 0], torch.zeros(4, 4))


def test_statistics_stay_while_training(network: EmbeddingNetwork) -> None:
    network.calibrate(random_photos(2, 3, 32, 32))
    before = [scale.mean.clone() for scale in network.backbone.scales]
    network.train()(1 - random_photos(2, 3, 32, 32))
    after = [scale.mean for scale in network.backbone.scales]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("hidden", [0, 4097])
def test_hidden_width_out_of_range(hidden: int) -> None:
    config = ModelConfig(name="hypercolumn", hidden=hidden, weights="none")
    with pytest.raises(InputError, match=rf"^model\.hidden is {hidden}, expected 1 to 4096$"):
        build_network(config)


def test_radius_sets_the_length_of_embeddings() -> None:
    torch.manual_seed(0)
    config = ModelConfig(name="hypercolumn", encoder="mobilenet_v2", hidden=12, dim=8)
    config.weights, config.radius = "none", 3.0
    free = build_network(config).eval()
    free.backbone.radius = 0.0
    bound = build_network(config).eval()
    bound.load_state_dict(free.state_dict())
    photos = random_photos(1, 3, 64, 64)
    with torch.no_grad():
        directions, lengths = free(photos)[0, :, 0, 0], bound(photos).norm(dim=1)
    # The corner pixel lies beyond the grid's centres: it repeats the outermost cell.
    expected = 3 * directions / directions.norm()
    torch.testing.assert_close(bound(photos)[0, :, 0, 0].detach(), expected)
    assert lengths.max() < 3 + 1e-4  # between the cells a chord of the sphere
    assert lengths.min() > 2


@pytest.mark.parametrize("radius", [-1.0, float("inf"), float("nan")])
def test_radius_out_of_range(radius: float) -> None:
    config = ModelConfig(name="hypercolumn", radius=radius, weights="none")
    with pytest.raises(InputError, match=r"^model\.radius is .*, expected 0 \(free\)"):
        build_network(config)
