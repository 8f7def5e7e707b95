"""Layers divided, put in another order, named: each function gives new layers that sum to one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array

from sss.errors import InputError
from sss.image.resize import resize_linearly
from sss.layers.select import numbered
from sss.layers.soft_layers import Layers
from sss.spectral.propagation import propagate
from sss.spectral.settings import DEFAULT_SETTINGS, SMALLEST_PIECE
from sss.spectral.stencil import matting_stencil, stencil_matrix

_CORE = 0.5
"""Alpha from which on pixels belong to a piece's core."""

_NEAREST_WEIGHT = 1e-3
"""Of the nearest core, beside the matting Laplacian: it decides where nothing couples."""


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


def pieces(layers: Layers, layer: int, smallest: float = SMALLEST_PIECE) -> Layers:
    """Divide a layer into its connected pieces.

    Pixels of a soft rim, and pieces that are too small, are divided by how near they are to each
    piece's core along the photo: by the matting Laplacian, on a copy of the photo of
    ``refined_pixels`` (:class:`sss.Settings`) if it is larger.

    Args:
        layers: Of a photo.
        layer: Number of the layer.
        smallest: Pieces of less than this share of the photo are none of their own.

    Returns:
        Layers with the pieces in the layer's place, the larger ones first; as they were if it is
        of one piece.

    Raises:
        InputError: There is no such layer, or the share is none.

    Examples:
        >>> import sss
        >>> from sss.layers.arrange import pieces
        >>> layers = sss.split("docs/examples/coffee.png", layers=3)
        >>> len(pieces(layers, 0)) >= 3
        True
    """
    (layer,) = numbered(layers, [layer])
    _check_share(smallest)
    return _in_pieces(layers, layer, smallest, _SmallPhoto(layers.photo))


def all_pieces(layers: Layers, smallest: float = SMALLEST_PIECE) -> Layers:
    """Divide every layer into its connected pieces, see :func:`pieces`; largest layer first.

    Args:
        layers: Of a photo.
        smallest: Pieces of less than this share of the photo are none of their own.

    Raises:
        InputError: The share is none.

    Examples:
        >>> import sss
        >>> from sss.layers.arrange import all_pieces
        >>> len(all_pieces(sss.split("docs/examples/coffee.png", layers=3))) >= 3
        True
    """
    _check_share(smallest)
    photo = _SmallPhoto(layers.photo)
    for layer in reversed(range(len(layers))):
        layers = _in_pieces(layers, layer, smallest, photo)
    areas = layers.alpha.sum(axis=(0, 1), dtype=np.float64)
    return reorder(layers, [int(layer) for layer in np.argsort(-areas, kind="stable")])


class _SmallPhoto:
    """A photo at the size at which its layers are refined, with its matting Laplacian.

    Args:
        photo: (H, W, 3) in [0, 1].
    """

    def __init__(self, photo: np.ndarray) -> None:
        self.size = DEFAULT_SETTINGS.refined_size(photo.shape[:2])
        self._photo = photo

    @cached_property
    def laplacian(self) -> csr_array:
        """Sparse (N, N); of photos that are smaller than its windows nothing is coupled."""
        if min(self.size) < 3:
            return csr_array((math.prod(self.size),) * 2)
        return stencil_matrix(matting_stencil(resize_linearly(self._photo, self.size)))


def _in_pieces(layers: Layers, layer: int, smallest: float, photo: _SmallPhoto) -> Layers:
    alpha = resize_linearly(layers.alpha[..., layer, None], photo.size)[..., 0]
    cores, count = ndimage.label(alpha >= _CORE)
    areas = np.bincount(cores.ravel(), minlength=count + 1)[1:]
    large = 1 + np.flatnonzero(areas >= max(1.0, smallest * alpha.size))
    if len(large) < 2:
        return layers
    large = large[np.argsort(-areas[large - 1], kind="stable")]
    cores[~np.isin(cores, large)] = 0
    rows, columns = ndimage.distance_transform_edt(
        cores == 0, return_distances=False, return_indices=True
    )
    nearest = cores[rows, columns].ravel()[:, None] == large  # (N, P)
    shares = nearest.astype(np.float32)
    open_pixels = np.flatnonzero((cores == 0) & (alpha > 0))
    if len(open_pixels):
        shares[open_pixels] = propagate(
            photo.laplacian, nearest, open_pixels, nearest[open_pixels], _NEAREST_WEIGHT
        ).clip(0, 1)
    shares = resize_linearly(shares.reshape(*photo.size, -1), layers.photo.shape[:2])
    shares = shares / shares.sum(axis=2, keepdims=True)
    groups = None if layers.tree is None else [layers.tree.groups[layer]] * len(large)
    return _replaced(layers, layer, shares, groups)


def _check_share(smallest: float) -> None:
    """Raises InputError unless ``smallest`` is a share."""
    if not 0 <= smallest <= 1:
        raise InputError(f"smallest is {smallest}, expected a share of the photo from 0 to 1")


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
