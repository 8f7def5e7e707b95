"""Entries for ``torch.hub``: ``torch.hub.load("OWNER/NAME", "splitter")``."""

from typing import Any

from sss.splitter import Splitter

dependencies = [
    "cv2",
    "numba",
    "numpy",
    "onnxruntime",
    "PIL",
    "scipy",
    "skimage",
    "sklearn",
    "threadpoolctl",
    "tifffile",
]


def splitter(pretrained: bool = True, **options: Any) -> Splitter:
    """A splitter with the bundled model, or with a checkpoint of your own.

    Args:
        pretrained: Only True: a network without weights splits nothing.
        **options: Of :class:`sss.Splitter`: ``checkpoint``, ``device``, ``settings``.

    Raises:
        InputError: An option cannot be used.
    """
    if not pretrained:
        from sss.errors import InputError

        raise InputError("pretrained is False, expected True; train a network with train.py")
    return Splitter(**options)
