"""Where the steps on all pixels of a photo run: here on the processor.

Eigenvectors and components, on a grid of fixed size, are always the processor's work. The other
backend is :class:`sss.cuda.torch_backend.TorchBackend`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from sss.image.resize import resize_linearly
from sss.spectral.gradient import gradient_magnitude
from sss.spectral.refinement import TOLERANCE, relaxed_layers
from sss.spectral.stencil import matting_stencil
from sss.spectral.upsampling import enlarge_along_photo

Array = Any
"""An array of the backend's own kind: NumPy's, or a tensor on its device."""


class Backend(Protocol):
    """The steps on all pixels, by their names in :mod:`sss.spectral`, on arrays of one kind."""

    def upload(self, array: np.ndarray) -> Array:
        """To the backend's own kind, in single precision."""

    def download(self, array: Array) -> np.ndarray:
        """To NumPy's."""

    def wait(self) -> None:
        """Wait for what is under way, so that the clock counts it where it belongs."""

    def resize_linearly(self, picture: Array, size: tuple[int, ...]) -> Array:
        """See :func:`sss.image.resize.resize_linearly`."""

    def matting_stencil(self, photo: Array) -> Array:
        """See :func:`sss.spectral.stencil.matting_stencil`."""

    def gradient_magnitude(self, photo: Array) -> Array:
        """See :func:`sss.spectral.gradient.gradient_magnitude`."""

    def relaxed_layers(
        self,
        stencil: Array,
        layers: Array,
        gradient: Array,
        progress: Callable[[float], None] | None = None,
        tolerance: float = TOLERANCE,
        superpixel_laplacian: sp.csr_array | None = None,
    ) -> Array:
        """See :func:`sss.spectral.refinement.relaxed_layers`."""

    def enlarge_along_photo(self, layers: Array, small: Array, photo: Array) -> Array:
        """See :func:`sss.spectral.upsampling.enlarge_along_photo`."""


class NumpyBackend:
    """The functions of :mod:`sss.spectral` themselves."""

    resize_linearly = staticmethod(resize_linearly)
    matting_stencil = staticmethod(matting_stencil)
    gradient_magnitude = staticmethod(gradient_magnitude)
    relaxed_layers = staticmethod(relaxed_layers)
    enlarge_along_photo = staticmethod(enlarge_along_photo)

    def upload(self, array: np.ndarray) -> np.ndarray:
        """In single precision."""
        return array.astype(np.float32, copy=False)

    def download(self, array: np.ndarray) -> np.ndarray:
        """The array itself."""
        return array

    def wait(self) -> None:
        """Nothing is under way."""


NUMPY = NumpyBackend()
