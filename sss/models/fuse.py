"""A trained network made ready to run: the same function at less cost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from sss.models.base import EmbeddingNetwork
from sss.models.pieces import cut_convolutions

_CONVOLUTIONS = ("Conv2d", "Conv2dSame")
_NORMS = ("BatchNorm2d", "BatchNormAct2d")
"""Names of the classes of torch and timm. Others may do more than their base class, such as to
standardise their weights."""

_PROBE_SIDE = 64
"""Of the photo that shows how a network is wired."""


def prepare_for_inference(network: EmbeddingNetwork) -> EmbeddingNetwork:
    """Fold what no longer learns, and lay the weights out as the libraries like them best.

    Args:
        network: In evaluation mode, on its device. Is changed: it can no longer be trained, nor
            saved as what it was.

    Returns:
        The same network.
    """
    fold_batch_norms(network)
    fold_statistics = getattr(network.backbone, "fold_statistics", None)
    if fold_statistics:
        fold_statistics()
    cut_convolutions(network)
    network.requires_grad_(False)
    return network.to(memory_format=torch.channels_last)


def fold_batch_norms(network: EmbeddingNetwork) -> int:
    """Multiply batch norms into the convolutions whose results they alone take; for inference.

    Which those are is seen from the way of a photo through the network, whatever library its parts
    come from. The network computes the same but for rounding, with fewer passes over memory. Its
    state dict changes, so it can no longer be trained or saved as what it was.

    Args:
        network: In evaluation mode; is changed.

    Returns:
        How many were folded.
    """
    makers: dict[Any, nn.Module] = {}  # by the node of autograd's graph
    takers: list[tuple[nn.Module, Any]] = []

    def watch(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        if type(module).__name__ in _CONVOLUTIONS:
            makers[result.grad_fn] = module
        elif type(module).__name__ in _NORMS:
            takers.append((module, given[0].grad_fn))

    hooks = [module.register_forward_hook(watch) for module in network.modules()]
    side = max(_PROBE_SIDE, network.least_side)
    probe = torch.zeros(1, 3, side, side, device=network.mean.device, requires_grad=True)
    with torch.enable_grad():
        result = network.embed(probe)
    for hook in hooks:
        hook.remove()
    uses = _uses(result.grad_fn)
    made, taken = Counter(makers.values()), Counter(module for module, _ in takers)
    folded: dict[nn.Module, nn.Module] = {}
    for norm, node in takers:
        maker = makers.get(node)
        if maker is not None and made[maker] == taken[norm] == uses[node] == 1:
            folded[norm] = _fold(maker, norm)
    _replace(network, folded)
    return len(folded)


def _uses(node: Any) -> Counter[Any]:
    """How often the result of each node of autograd's graph is taken, from the last one back."""
    uses: Counter[Any] = Counter()
    waiting, seen = [node], {node}
    while waiting:
        for source, _ in waiting.pop().next_functions:
            uses[source] += 1
            if source is not None and source not in seen:
                seen.add(source)
                waiting.append(source)
    return uses


def _fold(conv: Any, norm: Any) -> nn.Module:
    """Change ``conv``; what is left of ``norm`` is an activation, which timm's norms have."""
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    return nn.Sequential(*(getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)))


def _replace(module: nn.Module, by: dict[nn.Module, nn.Module]) -> None:
    for name, child in module.named_children():
        if child in by:
            setattr(module, name, by[child])
        else:
            _replace(child, by)
