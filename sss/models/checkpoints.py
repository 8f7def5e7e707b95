"""Networks on disk: one safetensors file that also says which network it holds.

Torch is imported where a network is loaded or saved, not to know where a checkpoint lies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss.errors import InputError, one_line
from sss.files import whole_file
from sss.resources import shipped_folder

if TYPE_CHECKING:
    from torch import Tensor

    from sss.models.base import EmbeddingNetwork, ModelConfig

DEFAULT_CHECKPOINT = shipped_folder("checkpoints") / "hypercolumn_efficientnet_lite2.safetensors"
"""The model that ships with the project."""

_MODEL_KEY = "sss_model"
_TRAINING_KEY = "sss_training"


def save_checkpoint(
    path: Path,
    network: EmbeddingNetwork,
    config: ModelConfig,
    training: dict[str, Any],
    half: bool = False,
) -> None:
    """Write the weights, and beside them as ``.json`` what can be read without torch.

    Args:
        path: Ends in ``.safetensors``.
        network: Its weights and buffers are stored.
        config: What rebuilds the network.
        training: Step, metrics, data, …; anything JSON can hold.
        half: Store the weights in half precision (half the size, enough for inference). Batch-norm
            statistics stay as they are: a variance may be too large for half precision.

    Raises:
        InputError: The file cannot be written.
    """
    from sss.models.base import config_as_dict

    state = network.state_dict()
    if half:
        weights = {key for key, _ in network.named_parameters()}
        state = {key: v.half() if key in weights else v for key, v in state.items()}
    model = config_as_dict(config)
    header = {_MODEL_KEY: json.dumps(model), _TRAINING_KEY: json.dumps(training)}
    write_weights(path, state, {"model": model, "training": training}, header)


def write_weights(
    path: Path,
    state: Mapping[str, Tensor],
    told: dict[str, Any],
    header: dict[str, str] | None = None,
) -> None:
    """Write tensors, and beside them as ``.json`` what they are.

    Args:
        path: Ends in ``.safetensors``.
        state: Of a network.
        told: Anything JSON can hold.
        header: Metadata of the tensors' file itself.

    Raises:
        InputError: The files cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    stored = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    with whole_file(path) as partial:
        try:
            save_file(stored, partial, metadata=header)
        except SafetensorError as error:  # a full disk, for one
            raise InputError(f"cannot write {path}: {error}") from error
    with whole_file(path.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(told, indent=2) + "\n")


def load_checkpoint(path: Path) -> tuple[EmbeddingNetwork, ModelConfig, dict[str, Any]]:
    """Rebuild a network from its checkpoint, in float32, on the CPU, in evaluation mode.

    Args:
        path: A ``.safetensors`` file, or a run folder (its ``best.safetensors`` is taken).

    Returns:
        The network, its configuration, and what was stored about its training.

    Raises:
        InputError: No such file, not a checkpoint of this project, or weights that do not fit
            the network the file names.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    from sss.models.base import ModelConfig
    from sss.models.registry import build_network

    path = checkpoint_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a safetensors checkpoint ({error})") from error
    if _MODEL_KEY not in header:
        raise InputError(
            f"{path} does not say which network it holds; it was not written by train.py"
        )
    try:
        # Whatever the file says, its weights are in it: none are read or fetched from elsewhere.
        config = replace(ModelConfig(**json.loads(header[_MODEL_KEY])), weights="none")
        training = json.loads(header.get(_TRAINING_KEY, "{}"))
        with torch.device("meta"):  # takes no memory, however large the file says the network is
            outline = build_network(config)
    except Exception as error:  # of as many kinds as there are things that a damaged file can say
        raise InputError(
            f"{path} was written by another version of train.py ({one_line(error)[:200]})"
        ) from error
    try:
        outline.load_state_dict(state, assign=True)
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
            network = build_network(config)
        network.load_state_dict(state)
    except RuntimeError as error:
        problems = [line.strip() for line in str(error).splitlines()[1:]]
        raise InputError(
            f"the weights in {path} do not fit the network it names, '{config.name}' with encoder "
            f"'{config.encoder}' ({problems[0][:120] if problems else error})"
        ) from error
    return network.float().eval(), config, training


def start_from_checkpoint(network: EmbeddingNetwork, path: Path) -> int:
    """Give a network the weights of a checkpoint wherever names and shapes agree.

    Args:
        network: The others of its weights stay.
        path: As for :func:`load_checkpoint`.

    Returns:
        How many tensors agree.

    Raises:
        InputError: As :func:`load_checkpoint`, or none agrees.
    """
    own = network.state_dict()
    state = {
        key: value
        for key, value in load_checkpoint(path)[0].state_dict().items()
        if key in own and own[key].shape == value.shape
    }
    if not state:
        raise InputError(f"no weights of {path} have the names and shapes of this network's")
    network.load_state_dict(state, strict=False)
    return len(state)


def checkpoint_file(path: Path) -> Path:
    """``path`` itself, or the best checkpoint of the run folder ``path``.

    Raises:
        InputError: There is no such file.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        path = path / "best.safetensors"
    if not path.is_file():
        raise InputError(
            f"no checkpoint at {path}; give the .safetensors file or the run folder of train.py"
        )
    return path
