"""Class activation maps of a photo over scales and mirror images.

Ahn & Kwak, CVPR 2018, Sec. 3.2, Eq. (1) and (2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from sss.image.resize import MIN_SIDE, resize_bytes
from sss.models.classifier import Classifier
from sss.models.raw_encoder import encoder_outputs
from sss.training.weak.map_files import ClassMaps, grid_of

BACKGROUND_ALPHA = 16.0
"""α of the paper: the background is ``(1 − max_c M_c)^α``."""


def activation_maps(
    network: Classifier,
    photo: np.ndarray,
    classes: Sequence[int],
    scales: Sequence[float],
    mirror: bool,
    device: torch.device,
) -> ClassMaps:
    """``M_c = w_cᵀ f / max w_cᵀ f`` of the photo's own classes (Eq. 1).

    Negative values are zero. The activations of all views are added before they are divided by
    their maximum. A class that is nowhere positive has a map of zeros.

    Args:
        network: In evaluation mode, on ``device``.
        photo: (H, W, 3) uint8.
        classes: Numbers of the photo's image labels; there are maps of no others.
        scales: Of the photo.
        mirror: Whether its mirror images are looked at as well.
        device: Where to compute.
    """
    grid = grid_of(photo.shape[:2])
    chosen = torch.as_tensor(list(classes), device=device)
    total = torch.zeros(len(classes), *grid, device=device)
    for scale in scales:
        view = _scaled(photo, scale)
        for flipped in (False, True) if mirror else (False,):
            seen = np.ascontiguousarray(view[:, ::-1]) if flipped else view
            with torch.inference_mode():
                outputs, size = encoder_outputs(network, seen, device)
                found = network.activations(outputs[-1])[0, chosen].float()  # (K, h, w)
                stride = size[0] // found.shape[1]
                rows, columns = grid_of(seen.shape[:2], stride)
                found = found[:, :rows, :columns]
                found = found.flip(2) if flipped else found
                # The cells reach beyond the photo's lower and right border: cut them off there.
                at_pixels = F.interpolate(
                    found[None], scale_factor=float(stride), mode="bilinear", align_corners=False
                )[0, :, : seen.shape[0]]
                start = at_pixels.shape[2] - seen.shape[1] if flipped else 0
                at_pixels = at_pixels[:, :, start : start + seen.shape[1]]
                total += F.interpolate(
                    at_pixels[None], grid, mode="bilinear", align_corners=False, antialias=True
                )[0]
    return ClassMaps(
        np.asarray(classes), scaled_to_one(total.cpu().numpy().transpose(1, 2, 0)), photo.shape[:2]
    )


def scaled_to_one(activations: np.ndarray) -> np.ndarray:
    """(h, w, K) activations without their negative part, each divided by its maximum."""
    positive = np.maximum(activations, 0)
    most = positive.max(axis=(0, 1))
    return (positive / np.where(most > 0, most, 1)).astype(np.float32)


def background(maps: np.ndarray, alpha: float = BACKGROUND_ALPHA) -> np.ndarray:
    """``(1 − max_c M_c)^α`` (Eq. 2).

    Args:
        maps: (h, w, K) in [0, 1].
        alpha: A larger one leaves less background.

    Returns:
        (h, w) float32 in [0, 1].
    """
    most = maps.max(axis=2) if maps.shape[2] else np.zeros(maps.shape[:2])
    return ((1 - np.clip(most, 0, 1)) ** alpha).astype(np.float32)


def with_background(maps: np.ndarray, alpha: float = BACKGROUND_ALPHA) -> np.ndarray:
    """(h, w, 1 + K): the background before the maps."""
    return np.concatenate([background(maps, alpha)[..., None], maps], axis=2)


def _scaled(photo: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return photo
    size = tuple(max(MIN_SIDE, round(side * scale)) for side in photo.shape[:2])
    return resize_bytes(photo, size)
