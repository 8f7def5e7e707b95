"""The spectral core on a torch device; see :mod:`sss.cuda.backend`."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from sss.cuda import components, eigenvectors, grids, refinement, stencil, upsampling
from sss.cuda.tensors import Array, as_tensor


class TorchBackend:
    """Functions as of :class:`sss.cuda.backend.NumpyBackend`, which give tensors.

    Args:
        device: Of torch. ``cpu`` works as well: that is how this is tested without a GPU.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        here = self.device
        self.resize_linearly = partial(grids.resize_linearly, device=here)
        self.matting_stencil = partial(stencil.matting_stencil, device=here)
        self.gradient_magnitude = partial(refinement.gradient_magnitude, device=here)
        self.smallest_eigenvectors = partial(eigenvectors.smallest_eigenvectors, device=here)
        self.constrained_components = partial(components.constrained_components, device=here)
        self.relaxed_layers = partial(refinement.relaxed_layers, device=here)
        self.enlarge_along_photo = partial(upsampling.enlarge_along_photo, device=here)

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

    def largest_first(self, raw: Array, floor: float) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`sss.cuda.backend.NumpyBackend.largest_first`."""
        tensor = as_tensor(raw, self.device)
        alpha = refinement.valid_alpha(tensor, floor)
        areas = alpha.sum(dim=(0, 1), dtype=torch.float64)
        order = torch.argsort(areas, descending=True, stable=True)
        return self.download(alpha[..., order]), self.download(tensor[..., order])
