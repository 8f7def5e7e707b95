"""Encoders of segmentation_models_pytorch, and through it of timm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.encoder_network import IMAGENET_MEAN, IMAGENET_STD
from sss.models.weights import (
    State,
    fetching,
    load_encoder_weights,
    require_hub,
    require_timm_weights,
)
from sss.suggest import nearest

_TIMM = "tu-"
"""Prefix of the library for an encoder that it takes from timm."""


Built = TypeVar("Built")


def with_weights(config: ModelConfig, make: Callable[[str | bool | None], Built]) -> Built:
    """Build something of the library whose encoder starts as ``config.weights`` asks.

    It is built without weights first, which is cheap, so that an encoder that does not fit is
    told from a download that fails.

    Args:
        config: Says which encoder, and its weights. Those of a file are not loaded here.
        make: Builds it, given the library's argument for the start of the encoder.

    Raises:
        InputError: Unknown encoder, one that does not fit, or weights that cannot be fetched.
    """
    name = str(config.encoder)
    _check_name(name)
    try:
        built = make(None)
    except Exception as error:  # each of a hundred encoders has errors of its own
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        network = config.architecture if config.name == "unet" else config.name
        raise InputError(f"model.encoder '{name}' does not fit {network} ({reason})") from error
    if config.weights == "imagenet":
        with fetching(f"the ImageNet weights of '{name}'"):
            _require_weights(name)
            built = make(True if name.startswith(_TIMM) else "imagenet")
    return built


def _check_name(name: str) -> None:
    import segmentation_models_pytorch as smp
    import timm

    if name.startswith(_TIMM):
        known = timm.is_model(name.removeprefix(_TIMM))
        names = [_TIMM + other for other in timm.list_models()]
    else:
        names = smp.encoders.get_encoder_names()
        known = name in names
    if not known:
        near = nearest(name, names, 3, 0.5)
        raise InputError(
            f"no model.encoder '{name}' in segmentation_models_pytorch; near: "
            f"{', '.join(near) or 'none, see its documentation'}"
        )


def _require_weights(name: str) -> None:
    """Fail fast where the weights cannot be had."""
    import segmentation_models_pytorch as smp

    if name.startswith(_TIMM):
        require_timm_weights(name.removeprefix(_TIMM))
        return
    settings = smp.encoders.encoders[name]["pretrained_settings"]
    if "imagenet" not in settings:
        raise InputError(
            f"no ImageNet weights for model.encoder '{name}'; give --model.weights PATH or none"
        )
    require_hub(settings["imagenet"]["repo_id"], settings["imagenet"]["revision"])


def input_scale(config: ModelConfig) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of the photos that the encoder's weights were trained on.

    A few encoders do not use ImageNet's. The weights of a file are taken to be trained like those
    that timm names, or with ImageNet's scale where the library alone knows (only its server does).
    """
    import segmentation_models_pytorch as smp
    from timm.models import get_pretrained_cfg

    name = str(config.encoder)
    if config.weights != "none" and name.startswith(_TIMM):
        source = get_pretrained_cfg(name.removeprefix(_TIMM))
        return (source.mean, source.std) if source else (IMAGENET_MEAN, IMAGENET_STD)
    if config.weights != "imagenet":
        return IMAGENET_MEAN, IMAGENET_STD
    with fetching(f"the input scale of '{name}'"):
        scale = smp.encoders.get_preprocessing_params(name)
    top = float(scale["input_range"][1])  # 1, or 255 of a few
    return [mean / top for mean in scale["mean"]], [std / top for std in scale["std"]]


def start_from_file(encoder: nn.Module, config: ModelConfig) -> None:
    """Load ``config.weights`` where it is a path."""
    if config.weights in ("imagenet", "none"):
        return
    in_timm = str(config.encoder).startswith(_TIMM)  # the library keeps timm's model one level down
    load_encoder_weights(encoder, Path(config.weights), _below_model if in_timm else None)


def _below_model(state: State, _encoder: nn.Module) -> State:
    return {key if key.startswith("model.") else f"model.{key}": v for key, v in state.items()}


def drop_unused_layers(network: nn.Module, side: int) -> None:
    """Replace layers that a network's outputs do not depend on by identities.

    A U-Net of few stages leaves an encoder's last ones unused, and not every encoder of
    segmentation_models_pytorch drops them: they would be computed, stored and shipped for nothing.

    Args:
        network: Maps photos to one tensor or several.
        side: Height and width of a photo that it takes.
    """
    was_training = network.training
    with torch.enable_grad():
        outputs = network.eval()(torch.zeros(1, 3, side, side))
        if isinstance(outputs, Tensor):
            outputs = [outputs]
        torch.stack([output.sum() for output in outputs]).sum().backward()
    network.train(was_training)
    _replace_untouched(network)
    network.zero_grad(set_to_none=True)


class _Skipped(nn.Module):
    """Passes its input on, whatever options the layer in its place used to take."""

    def forward(self, values: Tensor, *_: object, **__: object) -> Tensor:
        return values


def _replace_untouched(module: nn.Module) -> None:
    """Put an identity in place of each largest part none of whose weights has a gradient."""
    for name, child in module.named_children():
        weights = list(child.parameters())
        if weights and all(weight.grad is None for weight in weights):
            setattr(module, name, _Skipped())
        else:
            _replace_untouched(child)
