"""What background removers do: a network's mask, as it is, matted, or to choose our layers.

X. Qin, Z. Zhang, C. Huang, M. Dehghan, O. R. Zaiane, M. Jagersand, *U²-Net: Going Deeper with
Nested U-Structure for Salient Object Detection*, Pattern Recognition 106, 2020; X. Qin, H. Dai,
X. Hu, D.-P. Fan, L. Shao, L. Van Gool, *Highly Accurate Dichotomous Image Segmentation*, ECCV 2022
(IS-Net). Sizes, normalisation, thresholds and erosion are those of rembg.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion

from sss.errors import InputError, one_line
from sss.evaluation.methods.base import Case, Method, OneResult, Segmentation, foreground_result
from sss.evaluation.methods.pipeline import prepared_scene
from sss.evaluation.methods.trimap import CLOSED_FORM
from sss.files import file_sha256
from sss.models.onnx_network import open_session

NORMALISATIONS = {
    320: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    1024: ((0.485, 0.456, 0.406), (1.0, 1.0, 1.0)),
}
"""Side of a network's input → mean and deviation of its colours: U²-Net and U²-Netp take 320×320,
IS-Net 1024×1024."""

FOREGROUND_ABOVE, BACKGROUND_BELOW = 240, 10
"""Of a mask of 8 bits: the trimap's certain parts, before they are eroded (rembg's defaults)."""

ERODED = 10
"""Side in pixels of the square by which these are eroded (rembg's default)."""


class SalientNetwork:
    """A network that gives a photo's salient objects, run by ONNX Runtime.

    Args:
        path: An ONNX file of U²-Net, U²-Netp or IS-Net.

    Raises:
        InputError: It cannot be read, or is of another kind.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._session = open_session(path, 1)
        except Exception as error:  # its errors have no common class but this one
            raise InputError(
                f"--weights {path} is no network for ONNX Runtime ({one_line(error)[:200]}); give "
                "U²-Net, U²-Netp or IS-Net as ONNX"
            ) from error
        inputs = self._session.get_inputs()
        shape = tuple(inputs[0].shape)
        if len(inputs) != 1 or shape[-3:-1] not in {(3, side) for side in NORMALISATIONS}:
            raise InputError(
                f"--weights {path} takes {len(inputs)} inputs, the first of {list(shape)}; "
                "expected U²-Net or U²-Netp, which take [1, 3, 320, 320], or IS-Net: "
                "[1, 3, 1024, 1024]"
            )
        self._input, self.side = inputs[0].name, int(shape[-1])

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """The mask of a photo.

        Args:
            photo: (H, W, 3) in [0, 1].

        Returns:
            (H, W) float32 in [0, 1], stretched to that whole range.
        """
        mean, deviation = NORMALISATIONS[self.side]
        picture = Image.fromarray(np.rint(photo * 255).astype(np.uint8))
        small = np.asarray(picture.resize((self.side, self.side), Image.Resampling.LANCZOS))
        scaled = (small / max(float(small.max()), 1e-6) - mean) / deviation
        given = scaled.transpose(2, 0, 1)[None].astype(np.float32)
        found = self._session.run(None, {self._input: given})[0][0, 0]
        low, high = float(found.min()), float(found.max())
        levels = np.rint(255 * (found - low) / max(high - low, 1e-6)).astype(np.uint8)
        height, width = photo.shape[:2]
        mask = Image.fromarray(levels).resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(mask, np.float32) / np.float32(255)


@cache
def open_network(path: str) -> SalientNetwork:
    """The network of a file, loaded once by each process.

    Raises:
        InputError: As of :class:`SalientNetwork`.
    """
    return SalientNetwork(Path(path))


@dataclass(frozen=True)
class BackgroundRemover(OneResult):
    """The mask of a background remover's network.

    Attributes:
        name: On the command line.
        title: For people.
        then: What becomes of the mask: nothing (``mask``), ``matting`` in the trimap that rembg
            makes of it, or the choice of those soft components of ours over which its mean is at
            least one half (``layers``).
        weights: Path of the network; empty until :func:`with_weights` gives one.
        sha256: Of that file.
    """

    name: str
    title: str
    then: Literal["mask", "matting", "layers"] = "mask"
    weights: str = ""
    sha256: str = ""

    @property
    def needs(self) -> Literal["photo", "embedding"]:
        """The embedding only to choose layers."""
        return "embedding" if self.then == "layers" else "photo"

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """The one result: the object, and as layers the object and the rest."""
        started = time.perf_counter()
        alpha, spent = open_network(self.weights)(case.photo), 0.0
        if self.then == "matting":
            alpha = matted(case.photo, alpha)
        elif self.then == "layers":
            spent = time.perf_counter() - started
            scene = prepared_scene(case)
            spent += sum(scene.seconds.values())
            started = time.perf_counter()
            alpha = scene.salient(alpha).alpha[..., 0]
        yield foreground_result(alpha, time.perf_counter() - started + spent)


def matted(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Closed-form matting where an eroded mask leaves open what belongs to the object.

    Args:
        photo: (H, W, 3) float64 in [0, 1].
        mask: (H, W) in [0, 1].

    Returns:
        (H, W) in [0, 1]; the mask itself where it leaves no certain object or no certain
        background, for then there is nothing to solve.
    """
    trimap = eroded_trimap(mask)
    if not {0, 255} <= set(np.unique(trimap).tolist()):
        return mask
    return CLOSED_FORM.estimate_alpha(photo, trimap)


def eroded_trimap(mask: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of 0, 128 and 255: the mask's certain parts, each eroded; 128 between them."""
    levels = np.rint(255 * mask)
    square = np.ones((ERODED, ERODED), bool)
    certain = binary_erosion(levels > FOREGROUND_ABOVE, square)
    outside = binary_erosion(levels < BACKGROUND_BELOW, square, border_value=1)
    return np.where(certain, 255, np.where(outside, 0, 128)).astype(np.uint8)


REMOVERS = (
    BackgroundRemover("u2net", "mask of U²-Net, U²-Netp or IS-Net (--weights)"),
    BackgroundRemover(
        "u2net-matting",
        "the same and closed-form matting around its edge, as background removers do",
        "matting",
    ),
    BackgroundRemover("u2net-layers", "our layers that such a mask chooses", "layers"),
)


def with_weights(methods: Sequence[Method], weights: Sequence[Path]) -> list[Method]:
    """Give each background remover among the methods its network.

    Args:
        methods: Of a run.
        weights: Files; with several, each remover becomes one for each of them, which the file's
            name tells apart: ``u2net:u2netp``.

    Raises:
        InputError: A file is missing or of another kind, or no file or no remover was given.
    """
    removers = [method for method in methods if isinstance(method, BackgroundRemover)]
    if removers and not weights:
        raise InputError(
            f"--method {removers[0].name} needs a network: give --weights PATH, the ONNX file of "
            "U²-Net, U²-Netp or IS-Net"
        )
    if weights and not removers:
        names = ", ".join(method.name for method in REMOVERS)
        raise InputError(f"--weights is for the methods {names}; choose one with --method")
    files = [path.expanduser() for path in weights]
    for path in files:
        if not path.is_file():
            raise InputError(f"--weights {path} is no file; give U²-Net, U²-Netp or IS-Net as ONNX")
        open_network(str(path))
    found: list[Any] = []
    for method in methods:
        if not isinstance(method, BackgroundRemover):
            found.append(method)
            continue
        for path in files:
            name = method.name if len(files) == 1 else f"{method.name}:{path.stem}"
            digest = file_sha256(path)
            found.append(dataclasses.replace(method, name=name, weights=str(path), sha256=digest))
    return found
