"""What a user takes home, rendered at the photo's full size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from sss.app.session import Session
from sss.clock import Progress
from sss.editing.draft import Draft
from sss.errors import InputError
from sss.files import whole_file
from sss.image.reading import read_photo
from sss.layers.enlarge import enlarged
from sss.layers.stack import Stack, straight

RECIPE = "recipe"
CUTOUT = "cutout"
PICTURE = "png"

_LAYERED = ("psd", "ora", "tif", "exr")

KINDS = {
    "Picture, PNG": PICTURE,
    "Layers, PSD (Photoshop)": "psd",
    "Layers, ORA (Krita, GIMP)": "ora",
    "Layers, TIFF": "tif",
    "Layers, EXR (linear light)": "exr",
    "Cut-out of the selection, PNG": CUTOUT,
    "Recipe of the edits, YAML": RECIPE,
}
"""What there is to export: names for people → kinds."""


def export(session: Session, kind: str, progress: Progress | None = None) -> Path:
    """Write a file into the session's folder.

    The layers are those of the preview, or finer ones where there are many, enlarged along the
    photo at its full size; the edits are made anew there.

    Args:
        session: With a photo.
        kind: A value of :data:`KINDS`.
        progress: Called with a stage's name and its finished fraction as the stages go on.

    Returns:
        The file's path, named after the photo.

    Raises:
        InputError: There is no photo, nothing is selected for a cut-out, there are no edits for a
            recipe, or the file cannot be written.
    """
    if kind not in KINDS.values():
        raise InputError(f"there is no export '{kind}'; expected {', '.join(KINDS.values())}")
    stem = Path(session.opened.name).stem
    if kind == RECIPE:
        path = session.folder / f"{stem}.yaml"
        session.recipe().write(path)
        return path
    tell = progress or (lambda _stage, _fraction: None)
    draft, chosen = _full_draft(session, cut_out=kind == CUTOUT, tell=tell)
    tell("write", 0.0)
    if kind in _LAYERED:
        from sss.layers.formats import write_layered

        path = session.folder / f"{stem}.{kind}"
        write_layered(path, draft.stack())
        return path
    if kind == CUTOUT:
        path = session.folder / f"{stem}_cutout.png"
        _write_png(path, straight(draft.union(chosen)), draft.profile)
        return path
    path = session.folder / f"{stem}_edited.png"
    _write_png(path, draft.stack().picture(), draft.profile)
    return path


def _full_draft(
    session: Session, cut_out: bool, tell: Callable[[str, float], None]
) -> tuple[Draft, tuple[int, ...]]:
    """The edited layers at full size, and which of them are selected."""
    tell("layers", 0.0)
    opened, layers, state = session.fine_layers()
    if cut_out and not state.selected:
        raise InputError("nothing is selected to cut out; click a layer in the photo first")
    tell("read", 0.0)
    photo = read_photo(opened.path)
    tell("enlarge", 0.2)
    full = enlarged(layers, photo)
    tell("colours", 0.4)
    draft = Draft.of(Stack.of(full))
    for number, step in enumerate(state.steps):
        tell("edit", 0.6 + 0.3 * number / len(state.steps))
        draft = step.step().apply(draft, full)
    return draft, state.selected


def _write_png(path: Path, picture: np.ndarray, profile: bytes | None) -> None:
    """Write (H, W, 4) in [0, 1]; without alpha where all of it is opaque."""
    levels = np.rint(picture * 255).astype(np.uint8)
    if levels[..., 3].min() == 255:
        levels = np.ascontiguousarray(levels[..., :3])
    extra = {} if profile is None else {"icc_profile": profile}
    with whole_file(path) as unfinished:
        Image.fromarray(levels).save(unfinished, "PNG", compress_level=3, **extra)
