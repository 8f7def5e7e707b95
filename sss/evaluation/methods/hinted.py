"""Methods that are given rough masks of the objects: ours, what it competes with, and the masks.

A. Levin, D. Lischinski, Y. Weiss, *A Closed-Form Solution to Natural Image Matting*, IEEE TPAMI
30(2), 2008. C. Rother, V. Kolmogorov, A. Blake, *GrabCut*, ACM TOG 23(3), 2004.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from sss.errors import InputError
from sss.evaluation.hints import hint_identity, make_hints
from sss.evaluation.methods.base import Case, Method, OneResult, Segmentation
from sss.evaluation.methods.pipeline import prepared_scene
from sss.evaluation.methods.trimap import CLOSED_FORM
from sss.proposals.instances import Instances
from sss.spectral.hints import priority
from sss.spectral.placing import signed_distance
from sss.spectral.settings import LAYERS

TRIMAP_BAND = 0.04
"""Half the width of the trimap's unknown band, as a fraction of a mask's size: the best of 0.02,
0.04, 0.06 and 0.1 for closed-form matting on the mattes on which it is reported."""

GRABCUT_ROUNDS = 3


@dataclass(frozen=True)
class Hinted(OneResult):
    """Layers of what rough masks mean.

    Attributes:
        name: On the command line, and with :func:`with_hints` which masks.
        title: For people.
        then: What becomes of the masks: nothing (``masks``); our layers (``layers``); closed-form
            matting in a trimap of each (``matting``); GrabCut from each (``grabcut``).
        hints: See :func:`sss.evaluation.hints.make_hints`; empty until :func:`with_hints`.
        identity: Of the files that masks come from, so that results of others are not taken.
    """

    name: str
    title: str
    then: Literal["masks", "layers", "matting", "grabcut"]
    hints: str = ""
    identity: str = ""

    @property
    def needs(self) -> Literal["photo", "embedding"]:
        """The embedding for our layers only."""
        return "embedding" if self.then == "layers" else "photo"

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """The one result: a layer for each mask, and one or several of the rest."""
        truth = case.instances
        if not len(truth) and case.mattes:
            truth = np.stack([matte.alpha > 0.5 for matte in case.mattes])
        given = make_hints(self.hints, truth, case.photo, case.name, case.seed)
        given = given.fitted(case.photo.shape[:2])
        started, spent = time.perf_counter(), 0.0
        if self.then == "layers":
            scene = prepared_scene(case)
            spent, started = sum(scene.seconds.values()), time.perf_counter()
            layers = scene.layers(LAYERS, instances=given)
            alpha = layers.alpha
            object_alpha = alpha[..., [name in given.names for name in layers.names]]
        else:
            object_alpha = _in_turn(given, [self._alpha(case, mask) for mask in given.masks])
            rest = np.maximum(1 - object_alpha.sum(axis=2, keepdims=True), 0)
            alpha = np.concatenate([object_alpha, rest], axis=2)
        spent += time.perf_counter() - started
        foreground = object_alpha[..., 0] if len(given) == 1 and object_alpha.shape[2] else None
        yield Segmentation(alpha.argmax(axis=2), alpha, spent, foreground)

    def _alpha(self, case: Case, mask: np.ndarray) -> np.ndarray:
        """(H, W) in [0, 1] of one mask by itself."""
        if self.then == "masks":
            return mask.astype(np.float32)
        width = TRIMAP_BAND * float(np.sqrt(mask.sum()))
        distance = signed_distance(mask)
        trimap = np.where(distance < -width, 255, np.where(distance > width, 0, 128))
        if self.then == "matting":
            alpha = CLOSED_FORM.estimate_alpha(case.photo, trimap.astype(np.uint8))
            return np.where(trimap == 128, np.where(alpha == 0.5, mask, alpha), trimap / 255)
        return _grabcut(case.photo, mask, trimap)


def _in_turn(given: Instances, alphas: Sequence[np.ndarray]) -> np.ndarray:
    """(H, W, T) float32: each takes, in their order, what those before it have left."""
    left = np.ones(alphas[0].shape)
    found = np.zeros((*left.shape, len(alphas)), np.float32)
    for number in priority(given.masks, given.scores):
        found[..., number] = np.minimum(alphas[number], left)
        left -= found[..., number]
    return found


def _grabcut(photo: np.ndarray, mask: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """OpenCV's, with the trimap's certain parts held; the mask itself where it cannot work."""
    state = np.where(mask, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[trimap == 255], state[trimap == 0] = cv2.GC_FGD, cv2.GC_BGD
    if (trimap == 128).sum() == 0:
        return mask.astype(np.float32)
    pixels = np.rint(photo[..., ::-1] * 255).astype(np.uint8)
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(
            np.ascontiguousarray(pixels),
            state,
            (0, 0, *mask.shape[::-1]),
            np.zeros((1, 65)),
            np.zeros((1, 65)),
            GRABCUT_ROUNDS,
            cv2.GC_INIT_WITH_MASK,
        )
    except cv2.error:  # too few pixels for its five colours
        return mask.astype(np.float32)
    return ((state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)).astype(np.float32)


HINTED = (
    Hinted("hints", "the rough masks themselves (--instances)", "masks"),
    Hinted("sss-hints", "SSS with a layer for each rough mask", "layers"),
    Hinted("closed-form-hints", "closed-form matting in a trimap of each rough mask", "matting"),
    Hinted("grabcut-hints", "GrabCut from each rough mask", "grabcut"),
)


def with_hints(methods: Sequence[Method], hints: Sequence[str]) -> list[Method]:
    """Give each method that takes rough masks those that were named.

    Args:
        methods: Of a run.
        hints: Texts of ``--instances``; a method becomes one for each, ``hints:erode:0.03``.

    Raises:
        InputError: A text is unknown, or there are methods without hints or hints without methods.
    """
    takers = [method for method in methods if isinstance(method, Hinted)]
    if takers and not hints:
        raise InputError(
            f"--method {takers[0].name} needs rough masks: give --instances erode:0.03, dilate, "
            "shift, blob, truth, a folder of masks, or maskrcnn"
        )
    if hints and not takers:
        names = ", ".join(method.name for method in HINTED)
        raise InputError(f"--instances is for the methods {names}; choose one with --method")
    identities = {text: hint_identity(text) for text in hints}
    found: list[Any] = []
    for method in methods:
        if isinstance(method, Hinted):
            found += [
                dataclasses.replace(
                    method, name=f"{method.name}:{text}", hints=text, identity=identity
                )
                for text, identity in identities.items()
            ]
        else:
            found.append(method)
    return found
