"""What a photo is about: the layers that stand out."""

from __future__ import annotations

from sss.errors import InputError
from sss.layers.soft_layers import Layers


def salient(layers: Layers) -> tuple[int, ...]:
    """Numbers of the layers that make the salient object."""
    raise InputError("these layers carry no salience; split the photo anew")
