"""The steps on all pixels of a photo on a torch device; see :mod:`sss.spectral.backend`."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from sss.cuda.gradient import gradient_magnitude
from sss.cuda.refinement import TorchSystem
from sss.cuda.resize import resize_linearly
from sss.cuda.stencil import matting_stencil
from sss.cuda.upsampling import enlarge_along_photo
from sss.spectral.refinement import relaxed_layers


class TorchBackend:
    """A :class:`sss.spectral.backend.Backend` of tensors, which stay on the device between steps.

    Args:
        device: Of torch. ``cpu`` works as well: that is how this is tested without a GPU.
    """

    resize_linearly = staticmethod(resize_linearly)
    matting_stencil = staticmethod(matting_stencil)
    gradient_magnitude = staticmethod(gradient_magnitude)
    relaxed_layers = staticmethod(partial(relaxed_layers, system=TorchSystem))
    enlarge_along_photo = staticmethod(enlarge_along_photo)

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)

    def upload(self, array: np.ndarray) -> torch.Tensor:
        """To the device, in single precision."""
        # Torch knows no negative strides and warns of arrays that may not be written to.
        writable = np.require(array, np.float32, requirements=["C", "W"])
        return torch.from_numpy(writable).to(self.device)

    def download(self, array: torch.Tensor) -> np.ndarray:
        """To the processor, waiting for what is under way."""
        return array.contiguous().cpu().numpy()

    def wait(self) -> None:
        """Wait for what is under way."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
