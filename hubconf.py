"""Entries for ``torch.hub``: ``torch.hub.load("OWNER/NAME", "splitter")``."""

from typing import Any

from sss.splitter import Splitter

dependencies = [
    "cv2",
    "huggingface_hub",
    "imagecodecs",
    "numba",
    "numpy",
    "onnxruntime",
    "PIL",
    "pillow_heif",
    "scipy",
    "skimage",
    "sklearn",
    "threadpoolctl",
    "tifffile",
    "yaml",
]


def splitter(**options: Any) -> Splitter:
    """A splitter with the bundled model, or with the checkpoint that is given.

    Args:
        **options: Of :class:`sss.Splitter`: ``checkpoint``, ``device``, ``settings``.

    Raises:
        InputError: An option cannot be used.
    """
    return Splitter(**options)
