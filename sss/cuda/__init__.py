"""The spectral core's steps on all pixels as torch kernels, optional, and the choice of them.

Eigenvectors and components are found on a grid of fixed size, within a second on a processor, and
stay there. What runs here grows with the photo: matting stencil, image gradient, relaxed
sparsification, resizing, enlargement.

No sum is left to atomic operations, whose order is chance: runs on one machine are bit-equal.
Everything expects torch's default, float32 products without TF32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sss.errors import InputError

if TYPE_CHECKING:
    from sss.spectral.backend import Backend


def choose_backend(device: str = "cpu") -> Backend:
    """Backend for a device; torch is imported only if it is not ``cpu``.

    Args:
        device: ``cpu``, or ``cuda`` with or without a number, as in ``cuda:1``.

    Raises:
        InputError: Another kind of device, or one that this machine does not have.
    """
    if device == "cpu":
        from sss.spectral.backend import NUMPY

        return NUMPY
    if device.split(":")[0] != "cuda":
        raise InputError(f"unknown device '{device}'; expected cpu, cuda or cuda:NUMBER")
    import torch

    from sss.cuda.torch_backend import TorchBackend

    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"unknown device '{device}'; expected cpu, cuda or cuda:NUMBER") from error
    if (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"no GPU for device '{device}' found; give --device cpu")
    return TorchBackend(chosen)
