"""Layers divided, put in another order, named: each function gives new layers that sum to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from sss.errors import InputError
from sss.image.resize import resize_linearly
from sss.layers.select import numbered
from sss.layers.soft_layers import Layers

SMALLEST = 0.002
"""Share of the photo below which a piece is none of its own."""

_CORE = 0.5
"""Alpha from which on pixels belong to a piece's core."""


def divide(layers: Layers, layer: int, parts: int = 2) -> Layers:
    """Divide a layer into the groups that it was merged from.

    Args:
        layers: As a scene gives them: they know what they were merged from, and those that are
            read from files do not.
        layer: Number of the layer.
        parts: Groups wanted.

    Returns:
        Layers with the groups in the layer's place, the larger ones first; named ``… a``, ``… b``.

    Raises:
        InputError: There is no such layer, it was not merged from so many, or what it was merged
            from is not known.

    Examples:
        >>> import sss
        >>> from sss.layers.arrange import divide
        >>> layers = sss.split("docs/examples/coffee.png", layers=3)
        >>> divide(layers, 0).names
        ('layer 0 a', 'layer 0 b', 'layer 1', 'layer 2')
    """
    (layer,) = numbered(layers, [layer])
    if layers.tree is None:
        raise InputError(
            "what these layers were merged from is in no file; give the photo itself, or divide "
            "them into pieces"
        )
    if parts < 2:
        raise InputError(f"parts is {parts}, expected 2 or more")
    groups = layers.tree.divided(layer, parts)
    if len(groups) < parts:
        raise InputError(
            f"layer {layer} was merged from {len(groups)} "
            f"group{'s' if len(groups) > 1 else ''}, so it cannot become {parts}; choose another "
            "layer, or divide it into pieces"
        )
    small = resize_linearly(layers.photo, layers.tree.components.shape[:2])
    shares = layers.tree.shares(groups, layers.photo, small)
    return _replaced(layers, layer, shares, groups)


def pieces(layers: Layers, layer: int, smallest: float = SMALLEST) -> Layers:
    """Divide a layer into its connected pieces.

    Pixels of a soft rim go to the piece whose core is nearest.

    Args:
        layers: Of a photo.
        layer: Number of the layer.
        smallest: Pieces of less than this share of the photo join the nearest one.

    Returns:
        Layers with the pieces in the layer's place, the larger ones first; as they were if it is
        of one piece.

    Raises:
        InputError: There is no such layer.
    """
    (layer,) = numbered(layers, [layer])
    alpha = layers.alpha[..., layer]
    cores, count = ndimage.label(alpha >= _CORE)
    areas = np.bincount(cores.ravel(), minlength=count + 1)[1:]
    large = 1 + np.flatnonzero(areas >= max(1.0, smallest * alpha.size))
    if len(large) < 2:
        return layers
    large = large[np.argsort(-areas[large - 1], kind="stable")]
    cores[~np.isin(cores, large)] = 0
    _, (rows, columns) = ndimage.distance_transform_edt(cores == 0, return_indices=True)
    nearest = cores[rows, columns]
    shares = (nearest[..., None] == large).astype(np.float32)
    groups = None if layers.tree is None else [layers.tree.groups[layer]] * len(large)
    return _replaced(layers, layer, shares, groups)


def reorder(layers: Layers, order: Sequence[int]) -> Layers:
    """Put layers in another order.

    Args:
        layers: Of a photo.
        order: The number of each layer once; those that are left out follow in their order.

    Raises:
        InputError: A number comes twice, or there is no such layer.
    """
    chosen = [numbered(layers, [one])[0] for one in order]
    if len(set(chosen)) < len(chosen):
        raise InputError(f"order is {','.join(map(str, order))}, expected each layer once")
    chosen += [number for number in range(len(layers)) if number not in chosen]
    return layers.regrouped([[number] for number in chosen])


def rename(layers: Layers, names: Mapping[int, str]) -> Layers:
    """Give layers other names.

    Args:
        layers: Of a photo.
        names: By number; the others keep theirs.

    Raises:
        InputError: There is no such layer, or a name is empty.
    """
    changed = list(layers.names)
    for number, name in names.items():
        if not name.strip():
            raise InputError(f"the name of layer {number} is empty; give one")
        changed[numbered(layers, [number])[0]] = name
    return replace(layers, names=tuple(changed))


def _replaced(
    layers: Layers,
    layer: int,
    shares: np.ndarray,
    groups: Sequence[tuple[int, ...]] | None,
) -> Layers:
    """Layers with one divided by (H, W, P) shares, which sum to one."""
    divided = layers.alpha[..., layer, None] * shares
    order = np.argsort(-divided.sum(axis=(0, 1)), kind="stable")
    names = [f"{layers.names[layer]} {_letter(place)}" for place in range(len(order))]
    tree, old = layers.tree, layers.tree
    if old is not None and groups is not None:
        kept = list(old.groups)
        kept[layer : layer + 1] = [groups[number] for number in order]
        tree = replace(old, groups=tuple(kept))
    salience = layers.salience and (
        *layers.salience[:layer],
        *[layers.salience[layer]] * len(order),
        *layers.salience[layer + 1 :],
    )
    before, after = layers.alpha[..., :layer], layers.alpha[..., layer + 1 :]
    return replace(
        layers,
        alpha=np.concatenate([before, divided[..., order], after], axis=2),
        names=(*layers.names[:layer], *names, *layers.names[layer + 1 :]),
        tree=tree,
        salience=salience,
    )


def _letter(place: int) -> str:
    """A … z, then numbers."""
    return chr(ord("a") + place) if place < 26 else str(place + 1)
