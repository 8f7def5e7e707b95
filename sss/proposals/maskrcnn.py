"""Instances found by Mask R-CNN.

K. He, G. Gkioxari, P. Dollár, R. Girshick, *Mask R-CNN*, ICCV 2017; torchvision's model of a
ResNet-50 with FPN after Y. Li et al., *Benchmarking Detection Transfer Learning with Vision
Transformers* (2021), trained on COCO.
"""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sss.errors import InputError, one_line
from sss.proposals.coco_names import COCO_CLASSES
from sss.proposals.instances import MOST_INSTANCES, NO_CLASS, Instances

log = logging.getLogger(__name__)

CLASSES = 91
"""Of the COCO weights: ids up to 90, and the background."""

INSIDE = 0.5
"""From which on a mask's probability counts as inside (Sec. 3)."""

SCORE_THRESHOLD = 0.5
"""Least score of an instance."""

MASK_NMS = 0.7
"""Of two instances whose masks overlap by a larger IoU, the one with the lower score is dropped.
The model's own suppression goes by boxes, of each class alone."""


@dataclass(frozen=True)
class MaskRCNN:
    """Torchvision's ``maskrcnn_resnet50_fpn_v2``; loaded with the first photo.

    Attributes:
        path: State dict of ``torch.save`` or safetensors; None takes the COCO weights, which are
            downloaded once and checked by their hash.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        score_threshold: See ``SCORE_THRESHOLD``.
        mask_nms: See ``MASK_NMS``; 1 keeps all.

    Raises:
        InputError: A number out of its range.
    """

    path: Path | None = None
    device: str = "auto"
    score_threshold: float = SCORE_THRESHOLD
    mask_nms: float = MASK_NMS

    def __post_init__(self) -> None:
        for name in ("score_threshold", "mask_nms"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected 0 to 1")

    def find(self, photo: np.ndarray, name: str) -> Instances:
        """The instances of a photo, the surest first.

        Args:
            photo: (H, W, 3) float32 in [0, 1].
            name: Stem of its file, for errors.

        Raises:
            InputError: The weights cannot be had, or nothing was found.
        """
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1), np.float32))
        model, device = self._model
        with torch.inference_mode():
            found = model([pixels.to(device)])[0]
        scores = found["scores"].cpu().numpy()
        masks = found["masks"][:, 0].cpu().numpy() >= INSIDE
        kept = distinct(masks, scores, self.score_threshold, self.mask_nms)
        if not kept:
            raise InputError(
                f"Mask R-CNN found nothing on the photo '{name}' with a score of "
                f"{self.score_threshold:g} or more; give a lower --score-threshold"
            )
        labels = found["labels"].cpu().numpy()
        classes = tuple(COCO_CLASSES.get(int(labels[number]), NO_CLASS) for number in kept)
        return Instances(masks[kept], classes, tuple(float(scores[number]) for number in kept))

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        """The network with its weights, and where it runs."""
        try:
            from torchvision.models.detection import maskrcnn_resnet50_fpn_v2
        except ImportError as error:
            raise InputError(
                "Mask R-CNN needs torchvision: pip install 'semantic-soft-segmentation[instances]' "
                "brings it"
            ) from error
        from sss.models.device import pick_device

        model = maskrcnn_resnet50_fpn_v2(
            weights=None, weights_backbone=None, num_classes=CLASSES, box_score_thresh=0.05
        )
        state = _coco_weights() if self.path is None else _read_weights(self.path)
        try:
            model.load_state_dict(state)
        except Exception as error:  # also of what is no state dict
            raise InputError(
                f"{self.path} does not hold weights of maskrcnn_resnet50_fpn_v2 "
                f"({one_line(error)}); give its state dict"
            ) from error
        device = pick_device(self.device)
        return model.to(device).eval(), device


def distinct(
    masks: np.ndarray, scores: np.ndarray, score_threshold: float, mask_nms: float
) -> list[int]:
    """Numbers of the instances to keep, the surest first, at most ``MOST_INSTANCES``.

    Args:
        masks: (T, H, W) bool.
        scores: (T,).
        score_threshold: Least score.
        mask_nms: Largest IoU of a mask with a surer one.
    """
    areas = masks.sum(axis=(1, 2))
    kept: list[int] = []
    for number in np.argsort(-scores, kind="stable"):
        if scores[number] < score_threshold or not areas[number]:
            continue
        shared = [int((masks[number] & masks[other]).sum()) for other in kept]
        unions = [int(areas[number] + areas[other]) for other in kept]
        if all(i <= mask_nms * (u - i) for i, u in zip(shared, unions, strict=True)):
            kept.append(int(number))
    return kept[:MOST_INSTANCES]


def _coco_weights() -> Any:
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights

    from sss.models.weights import download

    url = MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1.url
    try:
        return download(url)
    except InputError as error:
        reason = str(error).partition("; give")[0]
        raise InputError(f"{reason}; give --instances maskrcnn:PATH, a file you have") from error


def _read_weights(path: Path) -> Any:
    """A state dict from a file that holds nothing but tensors."""
    from sss.models.weights import read_state

    try:
        return read_state(path)
    except OSError as error:
        raise InputError(
            f"--instances maskrcnn:{path}: {error.strerror or one_line(error)}; give the state "
            "dict of maskrcnn_resnet50_fpn_v2"
        ) from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is no file of tensors, neither of safetensors nor of torch.save"
        ) from error
    except Exception as error:  # torch and safetensors name no type for "this is damaged"
        raise InputError(
            f"{path} does not hold weights ({one_line(error)}); save the state dict again"
        ) from error
