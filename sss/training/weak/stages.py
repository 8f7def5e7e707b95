"""What each stage does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from sss.data.image_labels import Photo
from sss.files import whole_file
from sss.image.label_maps import write_label_map
from sss.layers.class_maps import normalised, refine_by_layers
from sss.models.affinity_net import build_affinity_network
from sss.models.base import ModelConfig
from sss.models.classifier import build_classifier
from sss.spectral.random_walk import affinities, random_walk, transitions
from sss.training.batches import check_split
from sss.training.trainer import Trainer
from sss.training.weak.activation import activation_maps, with_background
from sss.training.weak.affinity import AffinityTask, affinity_features
from sss.training.weak.affinity_labels import affinity_labels
from sss.training.weak.base_task import WeakTask, load_weights
from sss.training.weak.classify import ClassifyTask
from sss.training.weak.config import stage_run
from sss.training.weak.map_files import (
    UNSURE,
    ClassMaps,
    grid_of,
    read_maps,
    write_picture,
)
from sss.training.weak.photos import read_photo
from sss.training.weak.run import WeakRun
from sss.training.weak.segment import SegmentTask, segment_photo
from sss.training.weak.soft_layers import LayerMaker, read_layers, write_layers

log = logging.getLogger(__name__)

BACKGROUND = -1
"""Among the classes of a file of maps: its map is the background's."""


def open_task(run: WeakRun, stage: str) -> WeakTask:
    """The task of a training stage.

    Raises:
        InputError: Photos or what earlier stages make are missing.
    """
    config, side = run.config, run.config.data.side
    if stage == "classify":
        settings = stage_run(config, stage, config.classify)
        return ClassifyTask(settings, run.photos, run.held_out, side)
    if stage == "segment":
        settings = stage_run(config, stage, config.segment)
        return SegmentTask(settings, run.photos, run.folder / "labels")
    settings = stage_run(config, stage, config.affinity)
    return AffinityTask(settings, run.photos, run.folder / "affinity" / "labels", side)


def train(run: WeakRun, stage: str) -> WeakTask:
    """Train the network of a stage, or go on with it; gives its task."""
    task, folder = open_task(run, stage), run.folder / stage / "training"
    check_split(task.config, run.accelerator.num_processes)
    resume = (folder / "config.yaml").is_file()
    Trainer(task, folder, resume, run.accelerator).run(part_of_more=True)
    return task


def classify(run: WeakRun) -> None:
    """Train the classifier."""
    train(run, "classify")


def maps(run: WeakRun) -> None:
    """Class activation maps of the photos' own classes, and pictures of them."""
    config, folder = run.config, run.folder / "maps"
    bare = _bare(run)
    network = build_classifier(bare, len(run.photos.classes), config.classify.stride)
    load_weights(run.folder / "classify/training/best.safetensors", network, run.device)
    empty: list[str] = []

    def do(photo: Photo) -> None:
        pixels = read_photo(photo.path, config.data.side)
        found = activation_maps(
            network, pixels, photo.classes, config.maps.scales, config.maps.mirror, run.device
        )
        for k in np.flatnonzero(found.maps.max(axis=(0, 1)) == 0):
            empty.append(f"{run.photos.classes[photo.classes[k]]} in {photo.path.name}")
        _draw(run, folder, photo, pixels, found)
        found.write(folder / f"{photo.name}.npz")

    run.each_photo("class activation maps", _file_in(folder), do)
    if empty:
        log.warning(
            "%d labels have no map, the classifier sees nothing of them (%s)",
            *(len(empty), ", ".join(empty[:3]) + (", …" if len(empty) > 3 else "")),
        )


def soft(run: WeakRun) -> None:
    """Soft layers of the photos."""
    config, folder = run.config, run.folder / "soft"
    make = LayerMaker(config.layers, config.model, run.device)

    def do(photo: Photo) -> None:
        write_layers(folder / f"{photo.name}.npz", make(read_photo(photo.path, config.data.side)))

    run.each_photo("soft layers", _file_in(folder), do)


def affinity(run: WeakRun) -> None:
    """Affinity labels, then the training of AffinityNet."""
    options, folder = run.config.affinity, run.folder / "affinity" / "labels"

    def do(photo: Photo) -> None:
        found = read_maps(run.folder / "maps" / f"{photo.name}.npz")
        sharpened = None
        values = found.maps
        if options.sharpen == "layers":
            sharpened = read_layers(run.folder / "soft" / f"{photo.name}.npz")
            values = found.at(sharpened.shape[:2])
        labels = affinity_labels(
            values,
            found.classes,
            options.object_alpha,
            options.background_alpha,
            sharpened,
            run.config.layers.split_below,
        )
        write_label_map(folder / f"{photo.name}.png", labels)

    run.each_photo("affinity labels", lambda photo: [folder / f"{photo.name}.png"], do)
    train(run, "affinity")


def walk(run: WeakRun) -> None:
    """The random walk of the maps along the affinities."""
    config, folder = run.config, run.folder / "walk"
    options = config.affinity
    network = build_affinity_network(_bare(run), options.widths, options.stride, options.grid)
    load_weights(run.folder / "affinity/training/best.safetensors", network, run.device)

    def do(photo: Photo) -> None:
        pixels = read_photo(photo.path, config.data.side)
        found = read_maps(run.folder / "maps" / f"{photo.name}.npz")
        features = affinity_features(network, pixels, run.device).permute(1, 2, 0).cpu().numpy()
        grid = grid_of(found.size, options.grid)
        scores = with_background(found.at(grid), config.maps.alpha)
        transition = transitions(affinities(features, options.radius), config.walk.beta)
        walked = random_walk(transition, scores, config.walk.steps)
        classes = np.concatenate([[BACKGROUND], found.classes])
        result = ClassMaps(classes, walked.astype(np.float32), found.size)
        _draw(run, folder, photo, pixels, result)
        result.write(folder / f"{photo.name}.npz")

    run.each_photo("random walk", _file_in(folder), do)


def layers(run: WeakRun) -> None:
    """Maps and walked maps refined by the soft layers of the same photo."""
    config = run.config
    places = {name: run.folder / "layers" / name for name in ("layers", "walk_layers")}

    def do(photo: Photo) -> None:
        pixels = read_photo(photo.path, config.data.side)
        alpha = read_layers(run.folder / "soft" / f"{photo.name}.npz")
        for name, source in (("layers", "maps"), ("walk_layers", "walk")):
            given = load_scores(run, source, photo)
            refined = refine_by_layers(given.at(alpha.shape[:2]), alpha, config.layers.split_below)
            result = ClassMaps(given.classes, refined, given.size)
            _draw(run, places[name], photo, pixels, result)
            result.write(places[name] / f"{photo.name}.npz")

    run.each_photo(
        "layers",
        lambda photo: [place / f"{photo.name}.npz" for place in places.values()],
        do,
    )


def labels(run: WeakRun) -> None:
    """The masks, as a data set ``folder``."""
    config, folder = run.config, run.folder / "labels"

    def do(photo: Photo) -> None:
        given = load_scores(run, config.labels.source, photo)
        shares = normalised(given.at(given.size))
        mask = given.classes[shares.argmax(axis=2)] + 1  # background 0, class k is k + 1
        mask[shares.max(axis=2) < config.labels.confidence] = UNSURE
        write_label_map(folder / "labels" / f"{photo.name}.png", mask)
        _copy_photo(photo.path, folder / "images" / f"{photo.name}.png", config.data.side)

    run.each_photo(
        "masks",
        lambda photo: [
            folder / "labels" / f"{photo.name}.png",
            folder / "images" / f"{photo.name}.png",
        ],
        do,
    )
    if run.accelerator.is_main_process:
        with whole_file(folder / "classes.txt") as partial:
            partial.write_text("\n".join(["background", *run.photos.classes]) + "\n")
        log.info("masks: %s (data.sources: [{name: folder, root: …, rest: 0}])", folder)


def segment(run: WeakRun) -> None:
    """Train a segmentation network on the masks, and let it segment the photos."""
    task = train(run, "segment")
    assert isinstance(task, SegmentTask)
    network = task.build_network(resume=True, norms_apart=1)
    load_weights(run.folder / "segment/training/best.safetensors", network, run.device)
    folder = run.folder / "segment"

    def do(photo: Photo) -> None:
        pixels = read_photo(photo.path, run.config.data.side)
        found = segment_photo(network, pixels, len(run.photos.classes), run.device)
        write_label_map(folder / f"{photo.name}.png", found)

    run.each_photo("segmentations", lambda photo: [folder / f"{photo.name}.png"], do)


STAGES: dict[str, Callable[[WeakRun], None]] = {
    "classify": classify,
    "maps": maps,
    "soft": soft,
    "affinity": affinity,
    "walk": walk,
    "layers": layers,
    "labels": labels,
    "segment": segment,
}
"""In their order; the last one is made when it is asked for."""


def load_scores(run: WeakRun, source: str, photo: Photo) -> ClassMaps:
    """Maps of a photo with the background before them.

    Args:
        run: The run.
        source: ``maps``, ``walk``, ``layers`` or ``walk_layers``.
        photo: The photo.

    Raises:
        InputError: They were not made.
    """
    folder = run.folder / "layers" if source in ("layers", "walk_layers") else run.folder
    found = read_maps(folder / source / f"{photo.name}.npz")
    if BACKGROUND in found.classes:
        return found
    classes = np.concatenate([[BACKGROUND], found.classes])
    return ClassMaps(classes, with_background(found.maps, run.config.maps.alpha), found.size)


def _file_in(folder: Path) -> Callable[[Photo], list[Path]]:
    return lambda photo: [folder / f"{photo.name}.npz"]


def _bare(run: WeakRun) -> ModelConfig:
    """The model without the start of its weights, which come from a training."""
    return run.config.model.without_start()


def _draw(run: WeakRun, folder: Path, photo: Photo, pixels: np.ndarray, found: ClassMaps) -> None:
    """A picture of all classes' maps; the background stays black."""
    values = np.zeros((*found.maps.shape[:2], len(run.photos.classes)), np.float32)
    for k, number in enumerate(found.classes):
        if number != BACKGROUND:
            values[..., number] = found.maps[..., k]
    write_picture(folder / f"{photo.name}.jpg", pixels, values, len(run.photos.classes))


def _copy_photo(source: Path, target: Path, side: int) -> None:
    """The photo as the masks' size wants it."""
    with whole_file(target) as partial:
        Image.fromarray(read_photo(source, side)).save(partial, format="PNG")
