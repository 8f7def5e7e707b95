"""The one place that chooses where the spectral core's heavy steps run.

This module does not import torch: where no device needs it, none of it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from sss.errors import InputError
from sss.spectral.components import constrained_components
from sss.spectral.eigenvectors import EIGENVECTORS, smallest_eigenvectors
from sss.spectral.grids import resize_linearly
from sss.spectral.refinement import TOLERANCE, gradient_magnitude, relaxed_layers, valid_alpha
from sss.spectral.stencil import matting_stencil
from sss.spectral.upsampling import enlarge_along_photo

Array = Any
"""An array of the backend's own kind: NumPy's, or a tensor on its device."""


class Backend(Protocol):
    """The heavy steps: functions of :mod:`sss.spectral` by their names there.

    They take arrays of the backend's own kind and NumPy's, and give their own.
    """

    def upload(self, array: np.ndarray) -> Array:
        """To the backend's own kind, in single precision."""

    def download(self, array: Array) -> np.ndarray:
        """To NumPy's; waits for what is under way."""

    def wait(self) -> None:
        """Wait for what is under way, so that the clock counts it where it belongs."""

    def resize_linearly(self, picture: Array, size: tuple[int, ...]) -> Array:
        """See :func:`sss.spectral.grids.resize_linearly`."""

    def matting_stencil(self, photo: Array) -> Array:
        """See :func:`sss.spectral.stencil.matting_stencil`."""

    def gradient_magnitude(self, photo: Array) -> Array:
        """See :func:`sss.spectral.refinement.gradient_magnitude`."""

    def smallest_eigenvectors(
        self,
        laplacian: sp.csr_array,
        size: tuple[int, int],
        count: int = EIGENVECTORS,
        seed: int = 0,
        rough: bool = False,
        separator: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Array]:
        """See :func:`sss.spectral.eigenvectors.smallest_eigenvectors`."""

    def constrained_components(
        self,
        eigenvalues: np.ndarray,
        eigenvectors: Array,
        start: np.ndarray,
        pixels: np.ndarray | None = None,
        single: bool = False,
    ) -> Array:
        """See :func:`sss.spectral.components.constrained_components`."""

    def relaxed_layers(
        self,
        stencil: Array,
        layers: Array,
        gradient: Array,
        progress: Callable[[float], None] | None = None,
        tolerance: float = TOLERANCE,
        links: sp.csr_array | None = None,
    ) -> Array:
        """See :func:`sss.spectral.refinement.relaxed_layers`."""

    def enlarge_along_photo(self, layers: Array, small: Array, photo: Array) -> Array:
        """See :func:`sss.spectral.upsampling.enlarge_along_photo`."""

    def largest_first(self, raw: Array, floor: float) -> tuple[np.ndarray, np.ndarray]:
        """Valid alphas (H, W, K), and ``raw``; both largest first."""


class NumpyBackend:
    """On the processor: the functions of :mod:`sss.spectral` themselves."""

    resize_linearly = staticmethod(resize_linearly)
    matting_stencil = staticmethod(matting_stencil)
    gradient_magnitude = staticmethod(gradient_magnitude)
    smallest_eigenvectors = staticmethod(smallest_eigenvectors)
    constrained_components = staticmethod(constrained_components)
    relaxed_layers = staticmethod(relaxed_layers)
    enlarge_along_photo = staticmethod(enlarge_along_photo)

    def upload(self, array: np.ndarray) -> np.ndarray:
        """In single precision."""
        return array.astype(np.float32, copy=False)

    def download(self, array: np.ndarray) -> np.ndarray:
        """The array itself."""
        return array

    def wait(self) -> None:
        """Nothing is under way."""

    def largest_first(self, raw: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.largest_first`."""
        alpha = valid_alpha(raw, floor)
        order = np.argsort(-alpha.sum(axis=(0, 1), dtype=np.float64), kind="stable")
        return alpha[..., order], raw[..., order]


NUMPY = NumpyBackend()


def choose_backend(device: str = "cpu") -> Backend:
    """Backend for a device.

    Args:
        device: ``cpu``, or ``cuda`` with or without a number, as in ``cuda:1``.

    Raises:
        InputError: Another kind of device, or one that this machine does not have.
    """
    if device == "cpu":
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
