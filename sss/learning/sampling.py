"""Which pixels of a photo enter the loss."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_pixels(
    labels: Tensor,
    labels_per_photo: int = 3,
    pixels_per_label: int = 500,
    min_labels: int = 2,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw labels at random, then pixels of each at random (Aksoy et al. 2018, Sec. 3.3).

    The paper takes 3 labels with 500 pixels each and passes over photos with fewer labels; here
    two labels are enough, since two already make pairs of both kinds.

    Args:
        labels: (H, W) integer labels of one photo; negative ones are never drawn.
        labels_per_photo: Labels drawn at most.
        pixels_per_label: Pixels drawn of each label. A label with fewer pixels gives them all.
        min_labels: A photo with fewer labels gives nothing.
        generator: Source of randomness (on the CPU).

    Returns:
        (M,) int64 flat pixel indices ``row·W + column`` on the CPU, empty if the photo is passed
        over.
    """
    flat = labels.reshape(-1).cpu()
    present = flat.unique()
    present = present[present >= 0]
    if len(present) < max(min_labels, 1):
        return torch.empty(0, dtype=torch.int64)
    order = torch.randperm(len(present), generator=generator)
    picked = []
    for label in present[order[:labels_per_photo]]:
        pixels = torch.nonzero(flat == label).squeeze(1)
        chosen = torch.randperm(len(pixels), generator=generator)[:pixels_per_label]
        picked.append(pixels[chosen])
    return torch.cat(picked)
