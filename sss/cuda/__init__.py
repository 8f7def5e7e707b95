"""The spectral core's steps on all pixels as torch kernels, optional, and the choice of them.

Eigenvectors and components are found on a grid of fixed size, within a second on a processor, and
stay there. What runs here grows with the photo: matting stencil, image gradient, relaxed
sparsification, resizing, enlargement.

No sum is left to atomic operations, whose order is chance: runs on one machine are bit-equal.
Everything expects torch's default, float32 products without TF32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sss.spectral.backend import Backend


def choose_backend(device: str = "cpu") -> Backend:
    """Backend for a device; torch is imported only if it is not ``cpu``.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``, as :func:`sss.models.device.resolve_device` gives
            it: it is there.
    """
    if device == "cpu":
        from sss.spectral.backend import NUMPY

        return NUMPY
    from sss.cuda.torch_backend import TorchBackend

    return TorchBackend(device)
