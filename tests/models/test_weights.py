import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file

import sss.models.weights as weights
from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.checkpoints import save_checkpoint
from sss.models.registry import build_network
from sss.models.weights import download, load_encoder_weights, require_hub

WAYS_OUT = "give --model.weights PATH to a file you have, or none"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(autouse=True)
def no_internet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches are empty, and the only server is this machine."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", dead_address())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def dead_address() -> str:
    """An address of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed_at_once:
        return f"http://127.0.0.1:{closed_at_once.getsockname()[1]}"


def put_state(folder: Path, digits: str | None = None) -> str:
    """Store a state dict under a name with its hash, or with other digits; returns the name."""
    torch.save({"layer.weight": torch.arange(6.0)}, folder / "state.pth")
    digest = hashlib.sha256((folder / "state.pth").read_bytes()).hexdigest()
    return (folder / "state.pth").rename(folder / f"net-{digits or digest[:8]}.pth").name


def failure(action: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(InputError) as error:
        action(*arguments)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    return str(error.value)


# --- downloads ------------------------------------------------------------------------------------


def test_right_hash(served: tuple[Path, str]) -> None:
    folder, address = served
    state = download(f"{address}/{put_state(folder)}")
    assert torch.equal(state["layer.weight"], torch.arange(6.0))


def test_second_time_needs_no_server(served: tuple[Path, str]) -> None:
    folder, address = served
    name = put_state(folder)
    first = download(f"{address}/{name}")
    again = download(f"{dead_address()}/{name}")
    assert torch.equal(first["layer.weight"], again["layer.weight"])


def test_wrong_hash_is_refused_and_not_kept(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    url = f"{address}/{put_state(folder, digits='0badf00d')}"
    text = failure(download, url)
    assert text.startswith(f"cannot download {url} (RuntimeError: invalid hash value")
    assert text.endswith(WAYS_OUT)
    assert not list((tmp_path / "torch").rglob("*.pth"))


def test_nobody_there() -> None:
    url = f"{dead_address()}/net-01234567.pth"
    text = failure(download, url)
    assert text.startswith(f"cannot download {url} (URLError: ")
    assert text.endswith(WAYS_OUT)


def test_no_such_file(served: tuple[Path, str]) -> None:
    assert "HTTP Error 404" in failure(download, f"{served[1]}/net-01234567.pth")


def test_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/net-01234567.pth"
        assert "timed out" in failure(download, url, 0.1)


def test_a_damaged_file_in_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / "net-01234567.pth").write_text("half a file")
    assert "cannot download" in failure(download, f"{dead_address()}/net-01234567.pth")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("deeplab_resnet101", "https://download.pytorch.org/models/resnet101-63fe2227.pth"),
        ("fcn", "https://download.pytorch.org/models/vgg16-397923af.pth"),
        ("segnet", "https://download.pytorch.org/models/vgg16_bn-6c64b313.pth"),
    ],
)
def test_torchvisions_networks_ask_for_imagenet(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def nothing_fits(url: str) -> dict[str, torch.Tensor]:
        asked.append(url)
        return {"classifier.weight": torch.zeros(1)}

    monkeypatch.setattr(weights, "download", nothing_fits)
    text = failure(build_network, ModelConfig(name=name, weights="imagenet"))
    assert asked == [url]
    assert text.startswith(f"{url} does not hold weights of this encoder")


# --- hubs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(),
        ModelConfig(name="unet"),
        ModelConfig(name="unet", encoder="tu-test_resnet.r160_in1k"),
        ModelConfig(name="vit", encoder="test_vit.r160_in1k"),
    ],
)
def test_hub_out_of_reach(config: ModelConfig) -> None:
    text = failure(build_network, config)
    assert text.startswith("cannot download the ")
    assert f"weights of '{config.resolved().encoder}' (URLError: " in text
    assert text.endswith(WAYS_OUT)


def test_hub_in_reach(served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served[1])
    require_hub("someone/some-weights")


def test_hub_is_not_asked_for_what_is_in_its_cache(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="refused"):
        require_hub("someone/some-weights")
    folder = tmp_path / "hub" / "models--someone--some-weights"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / "model.safetensors").touch()
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    require_hub("someone/some-weights")
    require_hub("someone/some-weights", revision="abc")


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "require_answer", lambda _url: None)


def http_error() -> Exception:
    import httpx

    request = httpx.Request("GET", "https://example.org/model.safetensors")
    return httpx.HTTPStatusError(
        "503 Service Unavailable\nFor more information see …",
        request=request,
        response=httpx.Response(503, request=request),
    )


@pytest.mark.usefixtures("reachable")
@pytest.mark.parametrize(
    "error", [OSError("offline"), ConnectionError(), http_error(), RuntimeError("bad hash")]
)
def test_hub_that_fails_later(
    tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real = smp.encoders.get_encoder

    def get_encoder(name: str, **options: object) -> torch.nn.Module:
        if options["weights"]:
            raise error
        return real(name, **options)

    monkeypatch.setattr(smp.encoders, "get_encoder", get_encoder)
    text = failure(build_network, replace(tiny_model, weights="imagenet"))
    assert text.startswith("cannot download the ImageNet weights of 'mobilenet_v2' (")
    assert text.endswith(WAYS_OUT)


@pytest.mark.usefixtures("reachable")
def test_weights_and_input_scale_of_the_hub_are_used(
    tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = smp.encoders.get_encoder
    scale = {"mean": [102, 51, 0], "std": [255, 127.5, 51], "input_range": [0, 255]}
    fetched: list[torch.nn.Module] = []

    def get_encoder(name: str, **options: object) -> torch.nn.Module:
        encoder: torch.nn.Module = real(name, **{**options, "weights": None})
        if options["weights"] == "imagenet":
            torch.nn.init.constant_(next(encoder.parameters()), 0.25)
            fetched.append(encoder)
        return encoder

    monkeypatch.setattr(smp.encoders, "get_encoder", get_encoder)
    monkeypatch.setattr(smp.encoders, "get_preprocessing_params", lambda _name: scale)
    network = build_network(replace(tiny_model, weights="imagenet"))
    assert fetched == [network.encoder]
    assert (next(network.encoder.parameters()) == 0.25).all()
    assert network.mean.flatten().tolist() == pytest.approx([0.4, 0.2, 0])
    assert network.std.flatten().tolist() == pytest.approx([1, 0.5, 0.2])
    assert network.freeze_statistics


@pytest.mark.slow
def test_encoders_without_pretrained_weights() -> None:
    text = failure(build_network, ModelConfig(name="vit", encoder="vit_base_patch16_xp_224"))
    assert "timm has no pretrained weights for 'vit_base_patch16_xp_224'" in text
    text = failure(build_network, ModelConfig(name="unet", encoder="dpn92"))
    assert text == (
        "no ImageNet weights for model.encoder 'dpn92'; give --model.weights PATH or none"
    )


# --- files ----------------------------------------------------------------------------------------


def test_files_that_are_no_state_dict(tiny_model: ModelConfig, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_text("no weights\nat all")
    config = replace(tiny_model, weights=str(path))
    text = failure(build_network, config)
    assert text.startswith(f"{path} does not hold weights of this encoder: it is neither")
    torch.save(torch.zeros(3), path)
    assert f"{path} does not hold weights of this encoder" in failure(build_network, config)
    path = path.rename(path.with_suffix(".safetensors"))
    config = replace(tiny_model, weights=str(path))
    assert f"{path} does not hold weights of this encoder" in failure(build_network, config)


def test_weights_of_another_architecture(tiny_model: ModelConfig, tmp_path: Path) -> None:
    other = build_network(replace(tiny_model, encoder="resnet18"))
    torch.save(other.encoder.state_dict(), tmp_path / "resnet.pt")
    text = failure(build_network, replace(tiny_model, weights=str(tmp_path / "resnet.pt")))
    assert "does not hold weights of this encoder (RuntimeError: " in text
    assert "Missing key(s) in state_dict: " in text
    assert "features" in text


def test_input_scale_of_timm_is_used(tmp_path: Path) -> None:
    """Whether its weights come from the hub or from timm's file, which is not of this library."""
    whole = timm.create_model("test_vit", num_classes=3)
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    weights = str(tmp_path / "model.safetensors")
    config = ModelConfig(
        name="unet", architecture="dpt", encoder="tu-test_vit.r160_in1k", weights=weights
    )
    network = build_network(config)
    assert network.mean.flatten().tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert network.std.flatten().tolist() == pytest.approx([0.5, 0.5, 0.5])
    stored = whole.state_dict()
    for key, value in network.encoder.state_dict().items():
        assert torch.equal(value, stored[key.removeprefix("model.")]), key


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_classifier_in_the_file_is_left_out(
    tiny_model: ModelConfig, tmp_path: Path, suffix: str
) -> None:
    """Torchvision's files hold the classifier too, and may be in half precision."""
    path = tmp_path / f"full{suffix}"
    encoder = build_network(tiny_model).encoder
    state = {k: v.half() if v.is_floating_point() else v for k, v in encoder.state_dict().items()}
    whole = {**state, "classifier.1.weight": torch.zeros(10, 1280)}
    (save_file if suffix == ".safetensors" else torch.save)(whole, path)
    other = build_network(tiny_model).encoder
    load_encoder_weights(other, path)
    for key, value in other.state_dict().items():
        assert torch.equal(value, state[key].to(value.dtype)), key


def test_home_folder_is_found(
    tiny_model: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(build_network(tiny_model).encoder.state_dict(), tmp_path / "mine.pt")
    build_network(replace(tiny_model, weights="~/mine.pt"))


def test_a_checkpoint_of_this_project_gives_its_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ModelConfig(name="hypercolumn", encoder="mobilenet_v2", weights="none", dim=8)
    source = build_network(model)
    save_checkpoint(tmp_path / "own.safetensors", source, model, {})
    torch.manual_seed(1)
    network = build_network(replace(model, weights=str(tmp_path / "own.safetensors")))
    for key, value in source.encoder.state_dict().items():
        assert torch.equal(network.encoder.state_dict()[key], value), key
