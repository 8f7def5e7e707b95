"""How an encoder starts: at random, from weights on the internet, or from a file.

Every builder takes ``model.weights``: ``none``, ``imagenet``, or a path. Whatever goes wrong with a
download becomes one line that names the two ways out.
"""

from __future__ import annotations

import pickle
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sss.errors import InputError
from sss.models.base import ModelConfig

CONNECT_SECONDS = 5.0
"""How long a server may take to answer before it counts as out of reach."""

State = dict[str, Tensor]

_OWN = "backbone.encoder."
"""What the keys of an encoder begin with in a checkpoint of this project."""


def start_torchvision(encoder: nn.Module, config: ModelConfig) -> None:
    """Give an encoder that has torchvision's key names the start that ``config.weights`` asks for.

    ``imagenet`` is torchvision's first set of weights (IMAGENET1K_V1): trained by the recipe of the
    papers that these encoders come from. The file's name holds the first digits of its SHA-256,
    and the download is checked against them.

    Raises:
        InputError: A download that fails, a file that cannot be read or does not fit.
    """
    from torchvision.models import get_model_weights

    if config.weights == "imagenet":
        url = get_model_weights(str(config.encoder))["IMAGENET1K_V1"].url
        _fit(encoder, download(url), url)
    elif config.weights != "none":
        load_encoder_weights(encoder, Path(config.weights))


def download(url: str, timeout: float = CONNECT_SECONDS) -> State:
    """Fetch a state dict whose file name ends in ``-HASH.pth``, or take it from torch's cache.

    Args:
        url: Of the file.
        timeout: See :func:`require_answer`.

    Raises:
        InputError: No connection, no such file, or one whose SHA-256 does not begin with HASH.
    """
    with fetching(url):
        if not (Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name).is_file():
            require_answer(url, timeout)  # torch would wait for minutes
        state: State = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    return state


@contextmanager
def fetching(what: str) -> Iterator[None]:
    """Turn whatever a hub, its HTTP library or a broken file may raise into one line.

    Raises:
        InputError: In place of any other exception of the block.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        raise InputError(
            f"cannot download {what} ({_reason(error)}); give --model.weights PATH to a file you "
            "have, or none"
        ) from error


def require_answer(url: str, timeout: float = CONNECT_SECONDS) -> None:
    """Ask a server for a sign of life; proxies of the environment are used.

    Args:
        url: Of a file, or of the server itself.
        timeout: Seconds after which the server counts as out of reach.

    Raises:
        OSError: No answer came in time.
    """
    request = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=timeout).close()
    except urllib.error.HTTPError as error:
        error.close()  # an answer after all; the download itself will say what is wrong


def require_hub(repository: str, revision: str | None = None) -> None:
    """Let a download from the Hugging Face hub fail at once where the hub library retries.

    Raises:
        OSError: The hub does not answer, and the weights are not in its cache.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    cached = try_to_load_from_cache(repository, "model.safetensors", revision=revision)
    if not isinstance(cached, str):
        require_answer(constants.ENDPOINT)


def require_timm_weights(name: str) -> None:
    """The same for a model of timm, and refuse one that has no pretrained weights.

    Raises:
        InputError: timm has none under this name.
        OSError: Their server does not answer.
    """
    from timm.models import get_pretrained_cfg

    source = get_pretrained_cfg(name)
    if source is None or not (source.hf_hub_id or source.url):
        raise InputError(
            f"timm has no pretrained weights for '{name}'; give --model.weights PATH or none, or "
            "an encoder with weights"
        )
    if source.hf_hub_id:
        require_hub(source.hf_hub_id)
    elif isinstance(source.url, str):
        require_answer(source.url)


def read_state(path: Path) -> State:
    """What a file of ``torch.save``, or ``.safetensors``, holds: nothing but tensors is read.

    Raises:
        Exception: Whatever torch and safetensors raise.
    """
    if path.suffix == ".safetensors":
        return load_file(path)
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    return state


def load_encoder_weights(
    encoder: nn.Module,
    path: Path,
    convert: Callable[[State, nn.Module], State] | None = None,
) -> None:
    """Load a classifier's state dict into an encoder, the classifier left out.

    Args:
        encoder: Where they go.
        path: A file of ``torch.save``, or ``.safetensors``; or a checkpoint of this project, whose
            encoder is taken.
        convert: Brings other layouts of the same weights into the encoder's own.

    Raises:
        InputError: No such file, not a state dict, or weights of another architecture.
    """
    path = path.expanduser()
    if not path.is_file():
        raise InputError(
            f"no encoder weights at {path}; give --model.weights PATH, or 'none' for random ones"
        )
    try:
        state = read_state(path)
        if own := {k.removeprefix(_OWN): v for k, v in state.items() if k.startswith(_OWN)}:
            state = own
        elif convert is not None:
            state = convert(state, encoder)
    except pickle.UnpicklingError as error:  # whose message is advice for programmers
        raise InputError(
            f"{path} does not hold weights of this encoder: it is neither a .safetensors file "
            "nor one of torch.save that holds nothing but tensors"
        ) from error
    except Exception as error:  # torch names no type for "this is not a state dict"
        raise InputError(
            f"{path} does not hold weights of this encoder ({_reason(error)})"
        ) from error
    _fit(encoder, state, path)


def _fit(encoder: nn.Module, state: Any, source: Path | str) -> None:
    """Load all that the encoder has, from a dict that may hold more."""
    try:
        wanted = encoder.state_dict().keys()
        state = {key: value for key, value in state.items() if key in wanted}
        # Encoders of segmentation_models_pytorch override this to drop the classifier's keys.
        nn.Module.load_state_dict(encoder, state, strict=True)
    except Exception as error:  # also "a tensor has no keys"
        raise InputError(
            f"{source} does not hold weights of this encoder ({_reason(error)})"
        ) from error


def _reason(error: Exception) -> str:
    """The first two lines of an error as one: of torch's, only the second names the keys."""
    return " ".join([type(error).__name__ + ":", *str(error).splitlines()[:2]])[:200]
