"""The file that keeps what layers were merged from."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sss.errors import InputError, one_line
from sss.files import cannot_write, whole_file
from sss.layers.tree import MergeTree

TREE = "tree.npz"

_ANEW = "split the photo anew"


def save_tree(folder: Path, tree: MergeTree | None) -> None:
    """Write what layers were merged from as ``tree.npz``, in 8 bits.

    Args:
        folder: Of the layers.
        tree: None removes the file of an earlier result.

    Raises:
        InputError: The file cannot be written or removed.
    """
    path = folder / TREE
    if tree is None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        return
    member = np.zeros((len(tree.groups), tree.components.shape[2]), bool)
    for layer, group in enumerate(tree.groups):
        member[layer, list(group)] = True
    with whole_file(path) as unfinished:
        np.savez_compressed(
            unfinished,
            components=np.rint(tree.components.clip(0, 1) * 255).astype(np.uint8),
            merges=np.array(tree.merges, np.int16).reshape(-1, 2),
            member=member,
        )


def read_tree(path: Path, layers: int) -> MergeTree | None:
    """Read what layers were merged from.

    Args:
        path: Of the file; there need not be one.
        layers: How many there are.

    Returns:
        None where there is no file.

    Raises:
        InputError: It is damaged or belongs to other layers.
    """
    if not path.is_file():
        return None
    arrays = read_arrays(path, ["components", "merges", "member"])
    components, merges, member = arrays.values()
    count = components.shape[-1]
    if not (
        components.ndim == 3
        and merges.shape == (count - 1, 2)
        and member.shape == (layers, count)
        and merges.dtype.kind in "iu"
        and (count < 2 or (merges.min() >= 0 and merges.max() < count))
    ):
        raise InputError(f"{path} does not fit the layers beside it; remove it, or {_ANEW}")
    groups = tuple(tuple(map(int, np.flatnonzero(row))) for row in member)
    pairs = tuple((int(into), int(merged)) for into, merged in merges)
    return MergeTree(components.astype(np.float32) / np.float32(255), pairs, groups)


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of a NumPy archive by name; none may hold objects.

    Raises:
        InputError: The file is damaged, or one is missing.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged or cut off ({one_line(error)}); {_ANEW}") from error
