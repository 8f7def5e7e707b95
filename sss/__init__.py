"""Semantic Soft Segmentation: train pixel embeddings, split photos into soft layers.

    import sss

    layers = sss.split("photo.jpg")                 # the bundled model; a path, a picture, an array
    layers.save("out/photo")                        # what infer.py writes

    splitter = sss.Splitter()                       # loaded once
    scene = splitter.prepare("photo.jpg")           # the slow part
    for k in (3, 5, "auto"):
        layers = scene.layers(k)                    # cheap; alpha (H, W, K), colors (H, W, K, 3)
    layers.merge([0, 1]).cutout().save("person.png")

    sss.edit(layers, "salient", background="teal").to_image().save("teal.png")

Reference: Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, *Semantic Soft Segmentation*,
ACM Transactions on Graphics 37(4), 2018, https://doi.org/10.1145/3197517.3201275.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sss.caches import choose_caches

if TYPE_CHECKING:
    from sss.editing.recipe import edit
    from sss.errors import InputError
    from sss.image import read_image
    from sss.layers.reading import read_layers
    from sss.layers.soft_layers import Layers
    from sss.scene import Scene
    from sss.spectral.settings import Settings
    from sss.splitter import Splitter, split

choose_caches()  # before any library that has one is imported

__version__ = "0.2.0"

__all__ = [
    "InputError",
    "Layers",
    "Scene",
    "Settings",
    "Splitter",
    "__version__",
    "edit",
    "read_image",
    "read_layers",
    "split",
]

_HOMES = {
    "InputError": "sss.errors",
    "Layers": "sss.layers.soft_layers",
    "Scene": "sss.scene",
    "Settings": "sss.spectral.settings",
    "Splitter": "sss.splitter",
    "edit": "sss.editing.recipe",
    "read_image": "sss.image",
    "read_layers": "sss.layers.reading",
    "split": "sss.splitter",
}
"""Loaded when asked for: who only trains, or asks for help, waits for nothing else (PEP 562)."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sss' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
