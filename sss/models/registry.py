"""The registry of networks: each name has one builder, which holds the numbers of its variant."""

from __future__ import annotations

from collections.abc import Callable

from sss.errors import InputError
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.deeplab import build_deeplab
from sss.models.fcn import build_fcn
from sss.models.hypercolumn import build_hypercolumn
from sss.models.norms import check_norm
from sss.models.segnet import build_segnet
from sss.models.unet import build_photo_unet, build_unet
from sss.models.unet_plain import build_unet_plain
from sss.models.vit import build_vit
from sss.suggest import nearest

NETWORKS: dict[str, Callable[[ModelConfig], EmbeddingNetwork]] = {
    "hypercolumn": build_hypercolumn,
    "photo_unet": build_photo_unet,
    "deeplab_resnet101": build_deeplab,
    "unet": build_unet,
    "unet_plain": build_unet_plain,
    "fcn": build_fcn,
    "segnet": build_segnet,
    "vit": build_vit,
}
"""Builders by name."""


def build_network(config: ModelConfig) -> EmbeddingNetwork:
    """Build the network that ``config`` describes.

    Raises:
        InputError: Unknown name or encoder, a dimension outside 8–512, a dropout outside 0–1,
            scales outside 0.1–4, weights that cannot be read, fetched or do not fit.
    """
    if config.name not in NETWORKS:
        near = nearest(config.name, NETWORKS, cutoff=0.4)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise InputError(f"unknown model.name '{config.name}'; {hint}known: {', '.join(NETWORKS)}")
    if not 8 <= config.dim <= 512:
        raise InputError(f"model.dim is {config.dim}, expected 8 to 512")
    if not 0 <= config.dropout < 1:
        raise InputError(f"model.dropout is {config.dropout}, expected 0 up to below 1")
    check_scales(config.scales)
    check_norm(config.decoder_norm)
    config = config.resolved()
    network = NETWORKS[config.name](config)
    network.scales = [float(scale) for scale in config.scales]
    network.freeze_statistics = config.weights != "none"
    if config.freeze_encoder:
        network.freeze_encoder()
    return network


def check_scales(scales: list[float]) -> None:
    """Refuse impossible ``model.scales``.

    Raises:
        InputError: None are given, or one is outside 0.1–4.
    """
    if not scales or not all(0.1 <= scale <= 4 for scale in scales):
        raise InputError(f"model.scales is {scales}, expected scales from 0.1 to 4")
