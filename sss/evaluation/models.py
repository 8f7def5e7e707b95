"""Where embeddings come from: networks, files, plain encoders, colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sss.errors import InputError
from sss.files import file_sha256
from sss.image.reading import PHOTO_SUFFIXES
from sss.metrics.samples import Sample

Embedder = Callable[[Sample], np.ndarray]
"""Maps a sample to the (H, W, D) float32 embedding of its photo, or, where that has more than a
megapixel, (h, w, D) of the photo shrunk to it."""

COLOURS = ("lab", "lab+position")
"""Words in place of a folder of features."""

_SUFFIXES = (".npy", ".npz", ".mat", ".png", *PHOTO_SUFFIXES)
"""Of feature files; the first that is there is taken."""


class Model(Protocol):
    """A source of embeddings; can be sent to other processes."""

    @property
    def label(self) -> str:
        """For tables; unique among the models of a run."""
        ...

    def settings(self, photo: str) -> dict[str, Any]:
        """All that the embedding of the photo of this name depends on besides the photo."""
        ...

    def open(self, device: str) -> Embedder:
        """Load what it takes to make embeddings.

        Raises:
            InputError: It cannot be had here.
        """
        ...


@dataclass(frozen=True)
class NetworkModel:
    """A trained network.

    Attributes:
        label: For tables.
        path: Its checkpoint.
        sha256: Of the checkpoint.
    """

    label: str
    path: Path
    sha256: str

    def settings(self, photo: str) -> dict[str, Any]:
        """The weights; the checkpoint also says the scales."""
        return {"checkpoint": self.sha256}

    def open(self, device: str) -> Embedder:
        """Load the network."""
        from sss.models.predictor import open_predictor

        predictor = open_predictor(self.path, device)
        return lambda sample: predictor(sample.photo)


@dataclass(frozen=True)
class EncoderModel:
    """An encoder as others trained it, see :class:`sss.models.raw_encoder.RawEncoder`.

    Attributes:
        label: For tables.
        encoder: Its name.
        weights: ``imagenet``, ``none`` or a path.
        identity: Which weights these are.
        seed: Of random weights.
    """

    label: str
    encoder: str
    weights: str
    identity: str
    seed: int

    def settings(self, photo: str) -> dict[str, Any]:
        """Encoder and weights."""
        seeded = {"seed": self.seed} if self.weights == "none" else {}
        return {"encoder": self.encoder, "weights": self.identity, **seeded}

    def open(self, device: str) -> Embedder:
        """Load the encoder."""
        from sss.models.device import pick_device
        from sss.models.raw_encoder import RawEncoder

        encoder = RawEncoder(self.encoder, self.weights, device=pick_device(device), seed=self.seed)
        return lambda sample: encoder(sample.photo)


@dataclass(frozen=True)
class FileModel:
    """Features made elsewhere, a file per photo.

    Attributes:
        label: For tables.
        files: Name of the photo → its file.
    """

    label: str
    files: Mapping[str, Path] = field(repr=False)

    def settings(self, photo: str) -> dict[str, Any]:
        """The file's content."""
        return {"file": file_sha256(self.files[photo])}

    def open(self, device: str) -> Embedder:
        """Nothing to load."""
        from sss.models.feature_files import read_embedding

        return lambda sample: read_embedding(self.files[sample.name])


@dataclass(frozen=True)
class ColourModel:
    """The photo's own colours.

    Attributes:
        label: For tables.
        colour: One of :data:`COLOURS`.
    """

    label: str
    colour: str

    def settings(self, photo: str) -> dict[str, Any]:
        """Which of both."""
        return {"colour": self.colour}

    def open(self, device: str) -> Embedder:
        """Nothing to load."""
        from sss.models.colour import lab_embedding, with_position

        if self.colour == "lab+position":
            return lambda sample: with_position(lab_embedding(sample.photo))
        return lambda sample: lab_embedding(sample.photo)


def network_model(path: Path, label: str | None = None) -> NetworkModel:
    """The network of a checkpoint, called like the file or the run's folder.

    Raises:
        InputError: There is none, or it is damaged.
    """
    from sss.models.checkpoints import checkpoint_file, load_checkpoint

    file = checkpoint_file(path)
    load_checkpoint(file)  # rather now than after an hour
    in_run = file.stem in ("best", "last")
    label = label or (file.absolute().parent.name if in_run else file.stem)
    return NetworkModel(label, file, file_sha256(file))


def encoder_model(text: str, seed: int) -> EncoderModel:
    """``NAME`` or ``NAME=WEIGHTS`` of ``--encoder``.

    Raises:
        InputError: Unknown encoder, or weights that cannot be had.
    """
    from importlib.metadata import version

    from sss.models.raw_encoder import RawEncoder

    encoder, _, weights = text.partition("=")
    weights = weights or "imagenet"
    RawEncoder(encoder, weights, seed=seed)  # rather now; downloads what is missing
    identity = weights
    if weights == "imagenet":  # these are the libraries' choice
        libraries = ("segmentation-models-pytorch", "timm")
        identity = " ".join([weights, *(f"{name} {version(name)}" for name in libraries)])
    elif weights != "none":
        identity = file_sha256(Path(weights).expanduser())
    return EncoderModel(f"raw {encoder}", encoder, weights, identity, seed)


def file_model(folder: Path, photos: Sequence[str]) -> FileModel:
    """Features in a folder, for all of ``photos``.

    Raises:
        InputError: The folder or the features of a photo are missing.
    """
    folder = folder.expanduser()
    try:
        there = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise InputError(
            f"--features {folder}: {error.strerror or error}; give a folder with a file per photo, "
            f"or one of the words {' and '.join(COLOURS)}"
        ) from error
    files, missing = {}, []
    for photo in photos:
        found = next((photo + suffix for suffix in _SUFFIXES if photo + suffix in there), None)
        if found is None:
            missing.append(photo)
        else:
            files[photo] = folder / found
    if missing:
        raise InputError(
            f"--features {folder} lacks the features of {len(missing)} of {len(photos)} photos; "
            f"expected {missing[0]}.npy (or .npz, .mat, an image)"
            + (f", {missing[1]}.npy, …" if missing[1:] else "")
        )
    return FileModel(folder.absolute().name, files)


def plain_text(name: str) -> str:
    """A name of a file as text that any file can hold: bytes that are none are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def unique_labels(labels: Sequence[str]) -> list[str]:
    """The labels, later ones of the same name with ``-2``, ``-3`` … behind."""
    found: list[str] = []
    for label in labels:
        number, candidate = 1, label
        while candidate in found:
            number += 1
            candidate = f"{label}-{number}"
        found.append(candidate)
    return found
