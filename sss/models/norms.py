"""Normalisation of decoders: batches of crops are small, so batch statistics are noisy."""

from __future__ import annotations

from torch import nn

from sss.errors import InputError

MAX_GROUPS = 8
"""Groups of channels of ``group``, where they divide the channels."""

DECODER_NORMS = ("batch", "group", "layer", "none")


def check_norm(kind: str) -> None:
    """Refuse an unknown ``model.decoder_norm``.

    Raises:
        InputError: Names what is known.
    """
    if kind not in DECODER_NORMS:
        raise InputError(
            f"unknown model.decoder_norm '{kind}', expected {', '.join(DECODER_NORMS)}"
        )


def build_norm(kind: str, channels: int) -> nn.Module:
    """Normalisation of ``channels`` channels; group norm is that of Wu & He (2018)."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "none":
        return nn.Identity()
    most = 1 if kind == "layer" else min(MAX_GROUPS, channels)
    return nn.GroupNorm(next(g for g in range(most, 0, -1) if channels % g == 0), channels)


def conv_block(inputs: int, outputs: int, norm: str) -> nn.Sequential:
    """3×3 convolution, normalisation, ReLU; a bias only where no norm would take it out again."""
    conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=norm == "none")
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, build_norm(norm, outputs), nn.ReLU(inplace=True))


def replace_batch_norms(module: nn.Module, kind: str) -> None:
    """Put another norm in place of every batch norm of a module, for ``group`` and ``layer``.

    The other kinds change nothing: ``none`` cannot be had this way, since the convolution before a
    norm has no bias. Build the module without norms instead.
    """
    if kind not in ("group", "layer"):
        return
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, build_norm(kind, child.num_features))
        else:
            replace_batch_norms(child, kind)
