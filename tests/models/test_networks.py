"""What every network of the registry must keep; a new one joins by an entry in ``TINY``."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from sss.errors import InputError
from sss.export import export_onnx
from sss.models.base import (
    DEFAULT_ENCODERS,
    EmbeddingNetwork,
    ModelConfig,
    config_as_dict,
)
from sss.models.checkpoints import load_checkpoint, save_checkpoint
from sss.models.predictor import Predictor, open_predictor
from sss.models.registry import NETWORKS, build_network
from sss.models.torch_network import TorchNetwork, embed_photo

TINY = {
    "hypercolumn": ModelConfig(encoder="mobilenet_v2", hidden=16),
    "photo_unet": ModelConfig(decoder_channels=[16, 16, 8, 8, 8]),
    "unet": ModelConfig(decoder_channels=[16, 16, 8]),
    "unet_plain": ModelConfig(base_channels=4),
    "deeplab_resnet101": ModelConfig(),
    "fcn": ModelConfig(encoder="vgg11"),
    "segnet": ModelConfig(encoder="vgg11_bn"),
    "vit": ModelConfig(encoder="test_vit", decoder_channels=[16, 8]),
}
for _name, _config in TINY.items():
    TINY[_name] = replace(_config, name=_name, weights="none")

NOT_IN_ONNX = ("deeplab_resnet101", "segnet", "vit")

# A ResNet-101 takes long whatever its input; test_deeplab.py has quick tests of its head.
EACH = [
    pytest.param(name, marks=[pytest.mark.slow] * (name == "deeplab_resnet101"))
    for name in sorted(TINY)
]
EACH_WITH_ENCODER = [each for each in EACH if each.values != ("unet_plain",)]

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def norms(module: nn.Module) -> Iterator[nn.BatchNorm2d]:
    return (m for m in module.modules() if isinstance(m, nn.BatchNorm2d))


def dropouts(module: nn.Module) -> list[nn.Module]:
    return [m for m in module.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p]


def random_photos(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def relative_error(result: torch.Tensor, expected: torch.Tensor) -> float:
    return float((result.double().cpu() - expected.double()).norm() / expected.double().norm())


@pytest.fixture(scope="module")
def fresh() -> Callable[[str], EmbeddingNetwork]:
    """Networks by name, each built once with random weights and handed out as copies."""
    built: dict[str, EmbeddingNetwork] = {}

    def network(name: str) -> EmbeddingNetwork:
        if name not in built:
            torch.manual_seed(0)
            built[name] = build_network(TINY[name])
            with torch.no_grad():
                built[name].train()(random_photos(2, 3, 48, 64))  # statistics leave their start
        return copy.deepcopy(built[name]).train()

    return network


@pytest.fixture
def network(name: str, fresh: Callable[[str], EmbeddingNetwork]) -> EmbeddingNetwork:
    return fresh(name)


def test_every_network_is_tested_and_has_an_encoder() -> None:
    assert set(TINY) == set(NETWORKS) == set(DEFAULT_ENCODERS)


@pytest.mark.parametrize("name", EACH)
class TestEmbeddings:
    @pytest.mark.parametrize("size", [(16, 16), (33, 47), (65, 31)])
    def test_every_pixel_gets_one(self, network: EmbeddingNetwork, size: tuple[int, int]) -> None:
        with torch.no_grad():
            embeddings = network.eval()(random_photos(1, 3, *size))
        assert embeddings.shape == (1, 64, *size)
        assert embeddings.isfinite().all()
        assert embeddings.std(dim=(2, 3)).min() > 0  # they differ from pixel to pixel

    def test_dimension(self, name: str) -> None:
        network = build_network(replace(TINY[name], dim=256)).eval()
        with torch.no_grad():
            assert network(random_photos(1, 3, 17, 20)).shape == (1, 256, 17, 20)
        assert network.dim == 256

    def test_too_small_a_photo_is_refused(self, network: EmbeddingNetwork) -> None:
        with pytest.raises(InputError, match=r"^the photo has 15 × 40 pixels, expected 16"):
            network(torch.rand(1, 3, 15, 40))

    def test_photos_of_a_batch_do_not_meet(self, network: EmbeddingNetwork) -> None:
        photos = random_photos(2, 3, 32, 40)
        with torch.no_grad():
            together = network.eval()(photos)
            alone = torch.cat([network(photo[None]) for photo in photos])
        torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)
        assert relative_error(together, alone) < 1e-5

    def test_memory_format_does_not_matter(self, network: EmbeddingNetwork) -> None:
        photos = random_photos(2, 3, 32, 40)
        with torch.no_grad():
            expected = network.eval()(photos)
            network.to(memory_format=torch.channels_last)
            result = network(photos.to(memory_format=torch.channels_last))
        assert relative_error(result, expected) < 1e-5

    def test_autocast_to_bfloat16(self, network: EmbeddingNetwork, name: str) -> None:
        photos = random_photos(1, 3, 33, 47)
        with torch.no_grad():
            expected = network.eval()(photos)
            with torch.autocast("cpu", torch.bfloat16):
                result = network(photos)
        assert result.isfinite().all()
        # Rounding moves some maxima of a max-pooling, and SegNet unpools to where they stand.
        assert 0 < relative_error(result, expected) < (0.3 if name == "segnet" else 0.1)

    @cuda
    @pytest.mark.parametrize("half", [False, True])
    def test_gpu_agrees_with_cpu(self, network: EmbeddingNetwork, name: str, half: bool) -> None:
        photos = random_photos(1, 3, 33, 47)
        with torch.no_grad():
            expected = network.eval()(photos)
            network, photos = network.cuda(), photos.cuda()
            result = network.half()(photos.half()) if half else network(photos)
        assert result.device.type == "cuda"
        assert result.dtype == (torch.float16 if half else torch.float32)
        tolerance = 0.3 if name == "segnet" else 0.1
        assert relative_error(result, expected) < (tolerance if half else tolerance / 20)

    def test_normalisation_is_part_of_the_network(self, network: EmbeddingNetwork) -> None:
        seen: list[torch.Tensor] = []
        network.backbone.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
        photos = network.mean.expand(1, 3, 32, 32)
        with torch.no_grad():
            network.eval()(photos)
            network(photos + network.std)
        assert seen[0].abs().max() < 1e-6
        torch.testing.assert_close(seen[1], torch.ones_like(seen[1]))

    def test_dropout_is_for_training_only(self, network: EmbeddingNetwork) -> None:
        assert {layer.p for layer in dropouts(network)} == {TINY["fcn"].dropout}
        for layer in dropouts(network):
            layer.p = 0.5
        photos = random_photos(2, 3, 32, 32)
        with torch.no_grad():
            assert not torch.equal(network(photos), network(photos))
            assert torch.equal(network.eval()(photos), network(photos))


@pytest.mark.parametrize("name", EACH)
class TestWeights:
    def test_gradients_reach_every_trainable_one(self, network: EmbeddingNetwork) -> None:
        for layer in dropouts(network):
            layer.p = 0.0
        network(random_photos(2, 3, 64, 64)).square().mean().backward()
        for key, parameter in network.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, key
                assert parameter.grad.isfinite().all(), key
                assert parameter.grad.abs().max() > 0, key
            else:
                assert parameter.grad is None, key

    def test_checkpoint_gives_equal_embeddings(
        self, network: EmbeddingNetwork, name: str, tmp_path: Path
    ) -> None:
        save_checkpoint(tmp_path / "network.safetensors", network, TINY[name], {})
        loaded, config, _ = load_checkpoint(tmp_path / "network.safetensors")
        photos = random_photos(1, 3, 17, 21)
        with torch.no_grad():
            assert torch.equal(loaded(photos), network.eval()(photos))
        assert config == TINY[name].resolved()

    def test_a_copy_is_a_network_of_its_own(self, network: EmbeddingNetwork) -> None:
        other = copy.deepcopy(network)
        mine = {id(p) for p in network.parameters()}
        assert not mine & {id(p) for p in other.parameters()}
        assert {id(p) for p in other.encoder.parameters()} <= {id(p) for p in other.parameters()}

    def test_encoder_and_head_make_the_whole(self, network: EmbeddingNetwork, name: str) -> None:
        encoder = {id(p) for p in network.encoder.parameters()}
        head = {id(p) for p in network.head_parameters()}
        assert bool(encoder) == (name != "unet_plain")
        assert head
        assert not encoder & head
        assert encoder | head == {id(p) for p in network.parameters()}

    def test_eval_stops_all_statistics(self, network: EmbeddingNetwork) -> None:
        assert not any(module.training for module in network.eval().modules())

    def test_statistics_of_the_head_move(self, network: EmbeddingNetwork) -> None:
        network.freeze_statistics = True
        inside = set(norms(network.encoder))
        head = [norm for norm in norms(network.train()) if norm not in inside]
        before = [norm.running_mean.clone() for norm in head]
        with torch.no_grad():
            network(random_photos(2, 3, 32, 32))
        for norm, mean in zip(head, before, strict=True):
            assert not torch.equal(norm.running_mean, mean)


@pytest.mark.parametrize("name", EACH)
class TestInference:
    def test_a_predictor_gives_what_the_network_gives(self, network: EmbeddingNetwork) -> None:
        network.scales = [1.0, 1.5]
        photo = random_photos(33, 47, 3).numpy()
        expected = embed_photo(network.eval(), photo, torch.device("cpu"))
        found = Predictor(Path(), "", TorchNetwork(network))(photo)
        assert found.shape == (33, 47, 64)
        assert relative_error(torch.from_numpy(found), torch.from_numpy(expected)) < 1e-5

    @pytest.mark.slow
    def test_its_export_computes_the_same_or_is_refused_by_name(
        self, network: EmbeddingNetwork, name: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "network.safetensors"
        save_checkpoint(path, network.eval(), TINY[name], {})
        if name in NOT_IN_ONNX:
            with pytest.raises(InputError, match=f"ONNX cannot express '{name}'"):
                export_onnx(path, path.with_suffix(".onnx"))
            assert not path.with_suffix(".onnx").exists()
            return
        export_onnx(path, path.with_suffix(".onnx"))
        photo = random_photos(70, 129, 3).numpy()
        exported = open_predictor(path, "cpu")
        assert exported.runtime == "onnxruntime"
        expected = torch.from_numpy(Predictor(path, "", TorchNetwork(network))(photo))
        assert relative_error(torch.from_numpy(exported(photo)), expected) < 1e-4

    @cuda
    def test_a_predictor_on_a_gpu_agrees(self, network: EmbeddingNetwork) -> None:
        photo = random_photos(33, 47, 3).numpy()
        expected = Predictor(Path(), "", TorchNetwork(network.eval()))(photo)
        predictor = Predictor(Path(), "", TorchNetwork(network.cuda()))
        assert predictor.device.startswith("cuda")
        found = torch.from_numpy(predictor(photo))
        assert relative_error(found, torch.from_numpy(expected)) < 1e-2


@pytest.mark.parametrize("name", EACH_WITH_ENCODER)
class TestEncoders:
    @pytest.fixture
    def pretrained(self, network: EmbeddingNetwork, name: str, tmp_path: Path) -> EmbeddingNetwork:
        """A network whose encoder's weights come from a file; it starts out like ``network``."""
        path = tmp_path / "encoder.pt"
        torch.save(network.encoder.state_dict(), path)
        return build_network(replace(TINY[name], weights=str(path), freeze_encoder=False))

    def test_weights_of_a_file(
        self, pretrained: EmbeddingNetwork, network: EmbeddingNetwork
    ) -> None:
        stored = network.encoder.state_dict()
        assert list(pretrained.encoder.state_dict()) == list(stored)
        for key, value in pretrained.encoder.state_dict().items():
            assert torch.equal(value, stored[key]), key

        assert pretrained.freeze_statistics
        pretrained.train()
        with torch.no_grad():
            pretrained(random_photos(2, 3, 32, 32))
        for key, value in pretrained.encoder.named_buffers():
            assert torch.equal(value, stored[key]), key
        assert not any(norm.training for norm in norms(pretrained.encoder))
        assert all(p.requires_grad for p in pretrained.encoder.parameters())  # but it learns

    def test_statistics_of_random_encoders_move(self, network: EmbeddingNetwork, name: str) -> None:
        before = [norm.running_mean.clone() for norm in norms(network.encoder)]
        with torch.no_grad():
            network(random_photos(2, 3, 32, 32))
        assert bool(before) == (name not in ("fcn", "vit"))
        for norm, mean in zip(norms(network.encoder), before, strict=True):
            assert norm.training
            assert not torch.equal(norm.running_mean, mean)

    def test_frozen_encoder_stays_as_it_is(self, name: str) -> None:
        network = build_network(replace(TINY[name], freeze_encoder=True)).train()
        before = {key: value.clone() for key, value in network.encoder.state_dict().items()}
        assert not any(module.training for module in network.encoder.modules())
        assert any(module.training for module in network.modules())
        made: list[torch.Tensor] = []
        layer = next(m for m in network.encoder.modules() if isinstance(m, nn.Conv2d))
        layer.register_forward_hook(lambda _module, _given, output: made.append(output))
        network(random_photos(2, 3, 32, 32)).square().mean().backward()
        assert len(made) == 1
        assert not made[0].requires_grad  # no graph of it was kept
        assert all(p.grad is None for p in network.encoder.parameters())
        assert {id(p) for p in network.parameters() if p.requires_grad} == {
            id(p) for p in network.head_parameters()
        }
        for key, value in network.encoder.state_dict().items():
            assert torch.equal(value, before[key]), key

    def test_weights_that_are_not_there(self, name: str, refused: Callable, tmp_path: Path) -> None:
        text = refused(replace(TINY[name], weights=str(tmp_path / "gone.pt")))
        assert f"no encoder weights at {tmp_path / 'gone.pt'}" in text

    def test_weights_of_another_network(self, name: str, refused: Callable, tmp_path: Path) -> None:
        path = tmp_path / "other.pt"
        torch.save({"stem.weight": torch.zeros(3)}, path)
        text = refused(replace(TINY[name], weights=str(path)))
        assert f"{path} does not hold weights of this encoder" in text

    def test_unknown_encoder(self, name: str, refused: Callable) -> None:
        text = refused(replace(TINY[name], encoder="resnet110"))
        assert "model.encoder 'resnet110'" in text


# --- the registry ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"),
    [("deeplap", "deeplab_resnet101"), ("photounet", "photo_unet"), ("VIT", None), ("vitt", "vit")],
)
def test_unknown_network_gets_the_nearest_name(
    name: str, near: str | None, refused: Callable
) -> None:
    text = refused(ModelConfig(name=name))
    assert f"unknown model.name '{name}'" in text
    assert (f"did you mean '{near}'?" in text) == (near is not None)
    assert text.endswith("known: " + ", ".join(NETWORKS))


@pytest.mark.parametrize("dim", [-1, 0, 7, 513])
def test_dimension_out_of_range(tiny_model: ModelConfig, dim: int, refused: Callable) -> None:
    assert f"model.dim is {dim}, expected 8 to 512" in refused(replace(tiny_model, dim=dim))


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 2.0, float("nan")])
def test_dropout_out_of_range(tiny_model: ModelConfig, dropout: float, refused: Callable) -> None:
    text = refused(replace(tiny_model, dropout=dropout))
    assert f"model.dropout is {dropout}, expected 0 up to below 1" in text


def test_unknown_norm(tiny_model: ModelConfig, refused: Callable) -> None:
    text = refused(replace(tiny_model, decoder_norm="instance"))
    assert text == ("unknown model.decoder_norm 'instance', expected batch, group, layer, none")


# --- configurations -------------------------------------------------------------------------------


def test_defaults_are_the_networks_own() -> None:
    vit = ModelConfig(name="vit").resolved()
    assert vit.encoder == "vit_small_patch14_dinov2.lvd142m"
    assert vit.freeze_encoder is True
    fcn = ModelConfig(name="fcn").resolved()
    assert fcn.encoder == "vgg16"
    assert fcn.freeze_encoder is False


def test_what_is_given_stays() -> None:
    config = ModelConfig(name="vit", encoder="test_vit", freeze_encoder=False)
    assert config.resolved() == config
    assert ModelConfig(name="unknown").resolved().name == "unknown"


def test_checkpoint_config_is_complete_but_for_the_start(tiny_model: ModelConfig) -> None:
    tiny_model.weights = "/home/somebody/encoder.pt"
    assert config_as_dict(tiny_model) == {
        "name": "photo_unet",
        "architecture": "unet",
        "encoder": "mobilenet_v2",
        "freeze_encoder": False,
        "decoder_channels": [16, 16, 8, 8, 8],
        "base_channels": 64,
        "hidden": 256,
        "radius": 0.0,
        "dim": 8,
        "dropout": 0.1,
        "decoder_norm": "batch",
        "scales": [1.0],
        "weights": "none",
        "second_encoder": "",
        "second_weights": "none",
        "scene_dim": 0,
        "start": "",
        "output_stride": 16,
        "position": True,
    }
