from collections.abc import Iterator
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from sss.errors import InputError
from sss.features.embedding import EmbeddingNetwork, ModelConfig, config_as_dict
from sss.features.networks import NETWORKS, build_network
from sss.features.unet import load_encoder_weights


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


def norms(module: nn.Module) -> Iterator[nn.BatchNorm2d]:
    return (m for m in module.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize("name", sorted(NETWORKS))
class TestContract:
    """What every network of the registry must keep."""

    @pytest.fixture
    def config(self, name: str, tiny_model: ModelConfig) -> ModelConfig:
        tiny_model.name = name
        return tiny_model

    @pytest.fixture
    def network(self, config: ModelConfig) -> EmbeddingNetwork:
        torch.manual_seed(0)
        return build_network(config)

    @pytest.fixture
    def pretrained(self, config: ModelConfig, tmp_path: Path) -> EmbeddingNetwork:
        """The same, its encoder's weights loaded from a file."""
        path = tmp_path / "encoder.pt"
        torch.save(build_network(config).encoder.state_dict(), path)
        config.weights = str(path)
        return build_network(config)

    @pytest.mark.parametrize("size", [(16, 16), (17, 33), (37, 95), (64, 48)])
    def test_every_pixel_gets_an_embedding(
        self, network: EmbeddingNetwork, config: ModelConfig, size: tuple[int, int]
    ) -> None:
        with torch.no_grad():
            embeddings = network.eval()(torch.rand(2, 3, *size))
        assert embeddings.shape == (2, config.dim, *size)
        assert embeddings.isfinite().all()
        assert embeddings.std(dim=(2, 3)).min() > 0  # they differ from pixel to pixel

    def test_too_small_a_photo_is_refused(self, network: EmbeddingNetwork) -> None:
        with pytest.raises(InputError, match="15 × 40 pixels, expected 16") as error:
            network(torch.rand(1, 3, 15, 40))
        one_line(error)

    def test_photos_of_a_batch_do_not_meet(self, network: EmbeddingNetwork) -> None:
        photos = torch.rand(3, 3, 32, 40)
        with torch.no_grad():
            together = network.eval()(photos)
            alone = network(photos[1:2])
        torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize(
        "depth",
        [
            3,
            4,
            5,
        ],
    )
    def test_gradients_reach_every_weight(self, config: ModelConfig, depth: int) -> None:
        config.decoder_channels = config.decoder_channels[-depth:]
        config.dropout = 0.0
        network = build_network(config)
        network.train()(torch.rand(2, 3, 64, 64)).square().mean().backward()
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key
            assert parameter.grad.abs().max() > 0, key

    def test_state_survives_a_save(
        self, network: EmbeddingNetwork, config: ModelConfig, tmp_path: Path
    ) -> None:
        network.train()(torch.rand(2, 3, 32, 32))  # moves the statistics from their start
        torch.save(network.state_dict(), tmp_path / "state.pt")
        torch.manual_seed(1)
        other, photos = build_network(config).eval(), torch.rand(1, 3, 33, 40)
        with torch.no_grad():
            expected = network.eval()(photos)
            assert not torch.equal(other(photos), expected)
            other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
            assert torch.equal(other(photos), expected)

    def test_normalisation_is_part_of_the_network(self, network: EmbeddingNetwork) -> None:
        seen: list[torch.Tensor] = []
        network.backbone.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
        photos = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
        with torch.no_grad():
            network.eval()(photos)
            network(photos + torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        assert seen[0].abs().max() < 1e-6
        torch.testing.assert_close(seen[1], torch.ones(1, 3, 32, 32))

    def test_statistics_of_pretrained_encoders_stay(self, pretrained: EmbeddingNetwork) -> None:
        before = {k: v.clone() for k, v in pretrained.encoder.named_buffers()}
        pretrained.train()
        pretrained(torch.rand(2, 3, 32, 32))
        for key, value in pretrained.encoder.named_buffers():
            assert torch.equal(value, before[key]), key
        assert not any(norm.training for norm in norms(pretrained.encoder))
        assert all(p.requires_grad for p in pretrained.encoder.parameters())  # but it learns

    def test_statistics_of_random_encoders_move(self, network: EmbeddingNetwork) -> None:
        before = [norm.running_mean.clone() for norm in norms(network.encoder)]
        network.train()
        network(torch.rand(2, 3, 32, 32))
        assert before
        for norm, mean in zip(norms(network.encoder), before, strict=True):
            assert norm.training
            assert not torch.equal(norm.running_mean, mean)

    def test_statistics_of_the_head_move(self, pretrained: EmbeddingNetwork) -> None:
        inside = set(norms(pretrained.encoder))
        head = [norm for norm in norms(pretrained.train()) if norm not in inside]
        before = [norm.running_mean.clone() for norm in head]
        pretrained(torch.rand(2, 3, 32, 32))
        for norm, mean in zip(head, before, strict=True):
            assert not torch.equal(norm.running_mean, mean)

    def test_eval_stops_all_statistics(self, network: EmbeddingNetwork) -> None:
        network.train()
        network.eval()
        assert not any(norm.training for norm in norms(network))

    def test_encoder_and_head_make_the_whole(self, network: EmbeddingNetwork) -> None:
        encoder = {id(p) for p in network.encoder.parameters()}
        head = {id(p) for p in network.head_parameters()}
        assert encoder
        assert head
        assert not encoder & head
        assert encoder | head == {id(p) for p in network.parameters()}

    def test_pretrained_weights_are_loaded(
        self, pretrained: EmbeddingNetwork, config: ModelConfig
    ) -> None:
        stored = torch.load(config.weights, weights_only=True)
        for key, value in pretrained.encoder.state_dict().items():
            assert torch.equal(value, stored[key]), key

    @pytest.mark.parametrize("dim", [-1, 0, 7, 513])
    def test_dimension_out_of_range(self, config: ModelConfig, dim: int) -> None:
        config.dim = dim
        with pytest.raises(InputError, match=rf"model\.dim is {dim}, expected 8 to 512"):
            build_network(config)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 2.0, float("nan")])
def test_dropout_out_of_range(tiny_model: ModelConfig, dropout: float) -> None:
    tiny_model.dropout = dropout
    with pytest.raises(InputError, match=r"model\.dropout is .*expected 0 up to below 1") as error:
        build_network(tiny_model)
    one_line(error)


def test_dropout_is_for_training_only(tiny_model: ModelConfig) -> None:
    tiny_model.dropout = 0.5
    network, photos = build_network(tiny_model), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(network.train()(photos), network(photos))
        assert torch.equal(network.eval()(photos), network(photos))


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_fewer_stages_load_the_same_file(
    tiny_model: ModelConfig, tmp_path: Path, depth: int
) -> None:
    """Torchvision's file holds all stages; a shallower encoder takes what it has."""
    whole = build_network(tiny_model).encoder
    torch.save(whole.state_dict(), tmp_path / "encoder.pt")
    tiny_model.decoder_channels = [8] * depth
    tiny_model.weights = str(tmp_path / "encoder.pt")
    network = build_network(tiny_model)
    for key, value in network.encoder.state_dict().items():
        assert torch.equal(value, whole.state_dict()[key]), key
    assert network.stride == 2**depth
    with torch.no_grad():
        assert network.eval()(torch.rand(1, 3, 16, 37)).shape == (1, 8, 16, 37)


def test_unknown_network() -> None:
    with pytest.raises(InputError, match=r"model\.name 'deeplap'.*unet") as error:
        build_network(ModelConfig(name="deeplap"))
    one_line(error)


@pytest.mark.parametrize(
    ("encoder", "near"), [("mobilenet_v3", "mobilenet_v2"), ("resnet110", "resnet101")]
)
def test_unknown_encoder_names_the_nearest(
    tiny_model: ModelConfig, encoder: str, near: str
) -> None:
    tiny_model.encoder = encoder
    with pytest.raises(InputError, match=f"'{encoder}'.*{near}") as error:
        build_network(tiny_model)
    one_line(error)


def test_unknown_timm_encoder(tiny_model: ModelConfig) -> None:
    tiny_model.encoder = "tu-no_such_net"
    with pytest.raises(InputError, match="tu-no_such_net") as error:
        build_network(tiny_model)
    one_line(error)


@pytest.mark.parametrize(
    "channels", [[], [16, 8], [16] * 6, [8, 8, 0], [16, 16, 8, 8, 0], [16, 16, 8, 8, -1]]
)
def test_bad_decoder_channels(tiny_model: ModelConfig, channels: list[int]) -> None:
    tiny_model.decoder_channels = channels
    with pytest.raises(InputError, match=r"model\.decoder_channels is .*expected 3 to 5") as error:
        build_network(tiny_model)
    one_line(error)


def http_error() -> Exception:
    import httpx

    request = httpx.Request("GET", "https://example.org/model.safetensors")
    return httpx.HTTPStatusError(
        "503 Service Unavailable\nFor more information see …",
        request=request,
        response=httpx.Response(503, request=request),
    )


@pytest.mark.parametrize(
    "failure", [OSError("offline"), ConnectionError(), http_error(), RuntimeError("bad hash")]
)
def test_weights_that_cannot_be_downloaded(
    tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def get_encoder(*_args: object, **_options: object) -> None:
        raise failure

    monkeypatch.setattr(smp.encoders, "get_encoder", get_encoder)
    tiny_model.weights = "imagenet"
    with pytest.raises(InputError, match=r"cannot download.*--model\.weights PATH") as error:
        build_network(tiny_model)
    one_line(error)


def test_missing_weights_file(tiny_model: ModelConfig, tmp_path: Path) -> None:
    tiny_model.weights = str(tmp_path / "none.pt")
    with pytest.raises(InputError, match=r"no encoder weights at .*none\.pt") as error:
        build_network(tiny_model)
    one_line(error)


def test_weights_that_are_no_state_dict(tiny_model: ModelConfig, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    tiny_model.weights = str(path)
    path.write_text("no weights\nat all")
    with pytest.raises(InputError, match="does not hold weights") as error:
        build_network(tiny_model)
    one_line(error)
    torch.save(torch.zeros(3), path)
    with pytest.raises(InputError, match="does not hold weights") as error:
        build_network(tiny_model)
    one_line(error)


def test_weights_of_another_architecture(tiny_model: ModelConfig, tmp_path: Path) -> None:
    path = tmp_path / "resnet.pt"
    other = build_network(ModelConfig(encoder="resnet18", weights="none", dim=8))
    torch.save(other.encoder.state_dict(), path)
    tiny_model.weights = str(path)
    with pytest.raises(InputError, match=r"does not hold weights.*Missing key.*features") as error:
        build_network(tiny_model)
    one_line(error)


def test_a_classifier_in_the_file_is_left_out(tiny_model: ModelConfig, tmp_path: Path) -> None:
    """Torchvision's files hold the classifier too, and may be in half precision."""
    encoder = build_network(tiny_model).encoder
    state = {k: v.half() if v.is_floating_point() else v for k, v in encoder.state_dict().items()}
    torch.save({**state, "classifier.1.weight": torch.zeros(1000, 1280)}, tmp_path / "full.pt")
    other = build_network(tiny_model).encoder
    load_encoder_weights(other, tmp_path / "full.pt")
    for key, value in other.state_dict().items():
        assert torch.equal(value, state[key].to(value.dtype)), key


def test_checkpoint_config_forgets_where_the_weights_came_from(tiny_model: ModelConfig) -> None:
    tiny_model.weights = "/home/somebody/encoder.pt"
    stored = config_as_dict(tiny_model)
    assert stored.pop("weights") == "none"
    assert stored == {
        "name": "unet",
        "encoder": "mobilenet_v2",
        "decoder_channels": [16, 16, 8, 8, 8],
        "dim": 8,
        "dropout": 0.1,
    }
