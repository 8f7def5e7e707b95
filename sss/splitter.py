"""From photo to layers: the only wiring of network, reduction, spectral core and colours.

The slow part, :meth:`Splitter.prepare`, does not depend on the number of layers; it gives a
:class:`Scene`, from which :meth:`Scene.layers` makes any number of them cheaply.
"""

from __future__ import annotations

import logging
import os
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from sss.clock import Progress, StageClock
from sss.errors import as_text
from sss.files import whole_file
from sss.image.reading import Photo, open_photo
from sss.image.resize import resize_linearly
from sss.layers.soft_layers import Layers
from sss.models.device import check_device, resolve_device
from sss.proposals.instances import Instances
from sss.proposals.source import PIECES, open_source
from sss.scene import Scene, describe_settings, layer_count
from sss.spectral.settings import LAYERS, Settings

if TYPE_CHECKING:
    from sss.models.predictor import Predictor
    from sss.spectral.segmenter import SoftSegmenter

log = logging.getLogger(__name__)

PACKAGES = ("numpy", "scipy", "scikit-image", "scikit-learn", "numba")
"""Their versions can change the layers, so reports name them."""


class Splitter:
    """Splits photos into soft layers; the network is loaded once, when it is needed first.

    Args:
        checkpoint: A ``.safetensors`` file or a run folder of ``train.py``; None takes the model
            that ships with the package.
        device: Of network and spectral core: ``cpu``, ``cuda`` or ``cuda:NUMBER``; ``auto`` takes
            a GPU if there is one.
        settings: Of the spectral core.

    Raises:
        InputError: An unknown device. A checkpoint that cannot be used is found at first use.

    Examples:
        >>> import sss
        >>> splitter = sss.Splitter()
        >>> scene = splitter.prepare(sss.read_image("docs/examples/coffee.png"))
        >>> scene.layers(3).alpha.shape[2]
        3
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        device: str = "auto",
        settings: Settings | None = None,
    ) -> None:
        check_device(device)
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.device = device
        self.settings = settings or Settings()

    @classmethod
    def from_pretrained(cls, repo_or_path: str | Path, **options: Any) -> Splitter:
        """A splitter with a model from a folder, a file or the Hugging Face Hub.

        Args:
            repo_or_path: A ``.safetensors`` file or a folder that holds one, or a repository of
                the hub, ``OWNER/NAME``, which is fetched and kept in the hub's cache.
            **options: Of :class:`Splitter`: ``device``, ``settings``.

        Raises:
            InputError: There is no such folder or repository, the hub is out of reach, or it is
                not clear which file is meant.

        Examples:
            >>> import sss
            >>> sss.Splitter.from_pretrained("checkpoints").checkpoint.suffix
            '.safetensors'
        """
        from sss.models.hub import find_checkpoint

        return cls(checkpoint=find_checkpoint(repo_or_path), **options)

    @cached_property
    def predictor(self) -> Predictor:
        """The network as a function from photo to embedding.

        Raises:
            InputError: The checkpoint or the device cannot be used.
        """
        from sss.models.predictor import open_predictor

        return open_predictor(self.checkpoint, self.device)

    def load(self, network: bool = True) -> Splitter:
        """Load network and libraries now, not with the first photo.

        Args:
            network: Whether the network is needed: not where embeddings are given.

        Returns:
            The splitter itself.

        Raises:
            InputError: The checkpoint or the device cannot be used.

        Examples:
            >>> import sss
            >>> sss.Splitter().load().predictor.dim
            64
        """
        import sss.layers.foreground
        import sss.layers.overview
        import sss.models.reduction  # noqa: F401

        if network:
            _ = self.predictor
        _ = self._segmenter
        return self

    def prepare(
        self,
        photo: Photo,
        embedding: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> Scene:
        """The slow part: network, eigenvectors, components.

        Args:
            photo: A path, a PIL picture, or an array: (H, W, 3), (H, W, 4) or (H, W) of uint8,
                uint16 or floats in [0, 1], sRGB. Colours of files and pictures are converted to
                sRGB by their profile.
            embedding: (H, W, D) of the photo's pixels, or as a scene holds it; takes the place of
                the network's, which is not loaded then.
            progress: Called with a stage's name and its finished fraction as the stages go on.

        Returns:
            What :meth:`Scene.layers` makes layers of.

        Raises:
            InputError: The photo, the embedding, the checkpoint or the device cannot be used.

        Examples:
            >>> import sss
            >>> sss.Splitter().prepare("docs/examples/coffee.png").features3.shape[2]
            3
        """
        self.load(network=embedding is None)
        from sss.models.reduction import prepare_embedding

        clock = StageClock(progress)
        with clock.stage("read"):
            opened = open_photo(photo)
        pixels = opened.srgb
        # The order in which threads add up numbers shows in the last bits, which eigenvectors
        # amplify: so libraries have one thread, and ours share out whole pieces of work.
        with threadpool_limits(1):
            with clock.stage("features"):
                found = self.predictor(pixels) if embedding is None else embedding
            with clock.stage("reduce"):
                features3, found = prepare_embedding(found, pixels)
            components = self._segmenter.decompose(pixels, features3, found, progress)
        return Scene(
            pixels,
            found,
            features3,
            components,
            self.settings,
            {**clock.seconds, **components.seconds},
            self._details(embedding is None),
            self._segmenter,
            opened.stored,
            opened.profile,
        )

    def save_embedding(self, scene: Scene, path: str | Path) -> None:
        """Write the embedding of every pixel as ``.npy``, float16 (H, W, D).

        Args:
            scene: Of this splitter.
            path: Ends in ``.npy``.

        Raises:
            InputError: The file cannot be written.

        Examples:
            >>> import tempfile
            >>> import numpy as np
            >>> from sss import Splitter
            >>> splitter, path = Splitter(), tempfile.mkdtemp() + "/embedding.npy"
            >>> splitter.save_embedding(splitter.prepare("docs/examples/coffee.png"), path)
            >>> np.load(path).dtype.name
            'float16'
        """
        limit = float(np.finfo(np.float16).max)
        height, width, _ = scene.photo.shape
        with whole_file(Path(path)) as unfinished:
            if scene.embedding.shape[:2] == (height, width):
                np.save(unfinished, np.clip(scene.embedding, -limit, limit).astype(np.float16))
                return
            shape = (height, width, scene.embedding.shape[2])
            out = np.lib.format.open_memmap(unfinished, "w+", np.float16, shape)
            _take_room(unfinished)
            if scene.details["checkpoint"] is None:
                out[:] = np.clip(resize_linearly(scene.embedding, shape[:2]), -limit, limit)
            else:
                self.predictor.full_size(scene.photo, out)
            out.flush()

    @cached_property
    def _segmenter(self) -> SoftSegmenter:
        from sss.cuda import choose_backend
        from sss.spectral.segmenter import SoftSegmenter

        return SoftSegmenter(self.settings, choose_backend(self._core_device()))

    def _core_device(self) -> str:
        """Where the spectral core runs: where the network is, if one was loaded.

        Without a network ``auto`` is the processor: to ask for a GPU would load torch.
        """
        if "predictor" in self.__dict__:
            return str(self.predictor.device)
        return "cpu" if self.device == "auto" else resolve_device(self.device)

    def _details(self, used_network: bool) -> dict[str, Any]:
        """For the report."""
        predictor = self.predictor if used_network else None
        runtime = {predictor.runtime: version(predictor.runtime)} if predictor else {}
        return {
            **describe_settings(self.settings),
            "device": self._core_device(),
            "checkpoint": as_text(predictor.path) if predictor else None,
            "checkpoint_sha256": predictor.sha256 if predictor else None,
            "versions": {
                "sss": _own_version(),
                **{package: version(package) for package in PACKAGES},
                **runtime,
            },
        }


def split(
    photo: Photo,
    layers: int | Literal["auto"] = LAYERS,
    *,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    settings: Settings | None = None,
    instances: str | Path | Instances | None = None,
) -> Layers:
    """Split one photo into soft layers (Aksoy et al., *Semantic Soft Segmentation*, 2018).

    For several photos, or several numbers of layers, make a :class:`Splitter` once.

    Args:
        photo: A path, a PIL picture, or an array: (H, W, 3), (H, W, 4) or (H, W) of uint8, uint16
            or floats in [0, 1], sRGB. Colours of files and pictures are converted to sRGB by their
            profile; what is saved is in that profile again.
        layers: How many, 1 to 40, or ``"auto"``: 2 to 8, as many as the photo needs.
        checkpoint: See :class:`Splitter`.
        device: Likewise.
        settings: Likewise.
        instances: Objects that get a layer of their own: rough masks, a file of them, ``maskrcnn``
            or ``maskrcnn:PATH``, see :func:`sss.proposals.source.open_source`; or ``pieces``: the
            connected pieces of every layer. Masks in a file that are found by the photo's name
            need a photo that is a path.

    Returns:
        The layers, largest first.

    Raises:
        InputError: Something given cannot be used; the message is one line.

    Examples:
        >>> import sss
        >>> layers = sss.split("docs/examples/coffee.png", layers=3)
        >>> layers.alpha.dtype.name, len(layers)
        ('float32', 3)
    """
    layer_count(layers)  # rather now than after the network
    splitter = Splitter(checkpoint, device, settings)
    if instances == PIECES:
        from sss.layers.arrange import all_pieces  # compiled code, slow to import

        return all_pieces(splitter.prepare(photo).layers(layers))
    if isinstance(instances, Instances | None):
        return splitter.prepare(photo).layers(layers, instances=instances)
    source = open_source(instances, device)
    scene = splitter.prepare(photo)
    name = Path(photo).stem if isinstance(photo, str | Path) else ""
    return scene.layers(layers, instances=source.find(scene.photo, name))


def _take_room(path: Path) -> None:
    """Take the disk space of a file that is mapped to memory: if it is short, that says so.

    Without it, the system would end the process at a write into the map.
    """
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _own_version() -> str:
    from sss import __version__

    return __version__
