"""The spectral core on a torch device; see :mod:`sss.gpu.backend`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch

from sss.gpu import constrained, eigenvectors, grids, relaxed, stencil
from sss.gpu.tensors import Array, as_tensor
from sss.spectral.eigenvectors import EIGENVECTORS
from sss.spectral.relaxed import TOLERANCE


class TorchBackend:
    """Functions as of :class:`sss.gpu.backend.NumpyBackend`, which give tensors.

    Args:
        device: Of torch. ``cpu`` works as well: that is how this is tested without a GPU.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)

    def upload(self, array: np.ndarray) -> torch.Tensor:
        """To the device, in single precision."""
        return as_tensor(array, self.device, torch.float32)

    def download(self, tensor: Array) -> np.ndarray:
        """To the processor, waiting for what is under way."""
        if isinstance(tensor, np.ndarray):
            return tensor
        return tensor.contiguous().cpu().numpy()

    def wait(self) -> None:
        """Wait for what is under way."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def resize_linearly(self, picture: Array, size: tuple[int, ...]) -> torch.Tensor:
        """See :func:`sss.gpu.grids.resize_linearly`."""
        return grids.resize_linearly(picture, size, self.device)

    def matting_stencil(self, photo: Array) -> torch.Tensor:
        """See :func:`sss.gpu.stencil.matting_stencil`."""
        return stencil.matting_stencil(photo, device=self.device)

    def gradient_magnitude(self, photo: Array) -> torch.Tensor:
        """See :func:`sss.gpu.relaxed.gradient_magnitude`."""
        return relaxed.gradient_magnitude(photo, self.device)

    def smallest_eigenvectors(
        self,
        laplacian: sp.csr_array,
        size: tuple[int, int],
        count: int = EIGENVECTORS,
        seed: int = 0,
        rough: bool = False,
        linked: np.ndarray | None = None,
    ) -> tuple[np.ndarray, torch.Tensor]:
        """See :func:`sss.gpu.eigenvectors.smallest_eigenvectors`."""
        return eigenvectors.smallest_eigenvectors(
            laplacian, size, count, seed, rough, linked, self.device
        )

    def constrained_components(
        self,
        eigenvalues: np.ndarray,
        vectors: Array,
        start: np.ndarray,
        pixels: np.ndarray | None = None,
        single: bool = False,
    ) -> torch.Tensor:
        """See :func:`sss.gpu.constrained.constrained_components`."""
        return constrained.constrained_components(
            eigenvalues, vectors, start, pixels, single, self.device
        )

    def relaxed_layers(
        self,
        planes: Array,
        layers: Array,
        gradient: Array,
        progress: Callable[[float], None] | None = None,
        tolerance: float = TOLERANCE,
        links: sp.csr_array | None = None,
    ) -> torch.Tensor:
        """See :func:`sss.gpu.relaxed.relaxed_layers`."""
        return relaxed.relaxed_layers(
            planes, layers, gradient, progress, tolerance, links, self.device
        )

    def largest_first(self, raw: Array, floor: float) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`sss.gpu.backend.NumpyBackend.largest_first`."""
        tensor = as_tensor(raw, self.device)
        alpha = relaxed.valid_alpha(tensor, floor)
        areas = alpha.sum(dim=(0, 1), dtype=torch.float64)
        order = torch.argsort(areas, descending=True, stable=True)
        return self.download(alpha[..., order]), self.download(tensor[..., order])
