"""Between NumPy arrays and tensors."""

from __future__ import annotations

import numpy as np
import torch

Array = np.ndarray | torch.Tensor


def as_tensor(
    array: Array, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> torch.Tensor:
    """A tensor on the device; one that is a tensor already stays where it is."""
    if isinstance(array, torch.Tensor):
        return array if dtype is None else array.to(dtype)
    # Torch knows no negative strides and warns of arrays that may not be written to.
    writable = np.require(array, requirements=["C", "W"])
    return torch.from_numpy(writable).to(device=device, dtype=dtype)
