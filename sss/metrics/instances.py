"""How well does a single region, or layer, hold a whole object?"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array

from sss.metrics.catalogue import SIZES, WeightedSum
from sss.metrics.region_metrics import check_size, soft_iou


class Instances:
    """The objects of one photo, prepared to be compared with many segmentations.

    Args:
        masks: (T, H, W) bool, one per object; they may overlap.
    """

    def __init__(self, masks: np.ndarray) -> None:
        self.size = masks.shape[1:]
        self.masks = csr_array(masks.reshape(len(masks), -1), dtype=np.float64)  # (T, H·W)
        self.area = self.masks.sum(axis=1)  # (T,)

    def best_iou(self, labels: np.ndarray) -> np.ndarray:
        """Largest IoU of each object with a region.

        Args:
            labels: (H, W) integers from 0.

        Returns:
            (T,) in [0, 1].

        Raises:
            InputError: The size is not the masks'.
        """
        check_size(labels.shape, self.size)
        flat = labels.ravel().astype(np.int64)
        area = np.bincount(flat)  # (R,)
        rows, pixels = self.masks.nonzero()
        # Sparse: of many objects and tens of thousands of regions few touch each other.
        table = coo_array(
            (np.ones(len(rows)), (rows, flat[pixels])), (len(self.area), len(area))
        ).tocsr()
        objects = np.repeat(np.arange(len(self.area)), np.diff(table.indptr))
        union = self.area[objects] + area[table.indices] - table.data
        best = np.zeros(len(self.area))
        np.maximum.at(best, objects, table.data / union)
        return best

    def best_soft_iou(self, alpha: np.ndarray) -> np.ndarray:
        """Largest soft IoU, Σ min(a, t) / Σ max(a, t), of each object t with a layer a.

        Args:
            alpha: (H, W, K) in [0, 1].

        Returns:
            (T,) in [0, 1].

        Raises:
            InputError: The size is not the masks'.
        """
        check_size(alpha.shape[:2], self.size)
        flat = alpha.reshape(-1, alpha.shape[-1]).astype(np.float64)
        return soft_iou(self.masks, flat).max(axis=1)

    def score(self, labels: np.ndarray, alpha: np.ndarray | None = None) -> dict[str, WeightedSum]:
        """Give the sums of the group ``instances``, of all objects and by size class.

        An object is recalled if its best IoU is not below the bound, as COCO counts (Lin et al.,
        ECCV 2014). Objects may share a region.

        Args:
            labels: (H, W) integers from 0: the region, or the strongest layer.
            alpha: (H, W, K) in [0, 1]; without, the regions are the layers.

        Returns:
            Metric → sum over objects and their number; classes without objects are left out.

        Raises:
            InputError: A size is not the masks'.
        """
        iou = self.best_iou(labels)
        values = {
            "instance_iou": iou,
            "instance_soft_iou": iou if alpha is None else self.best_soft_iou(alpha),
            "recall_50": iou >= 0.5,
            "recall_75": iou >= 0.75,
        }
        chosen = {"": np.ones(len(iou), bool)}
        for size, (low, high) in SIZES.items():
            chosen[f"_{size}"] = (self.area >= low) & (self.area < high)
        return {
            f"{name}{suffix}": (float(value[these].sum()), float(these.sum()))
            for suffix, these in chosen.items()
            if these.any()
            for name, value in values.items()
        }
