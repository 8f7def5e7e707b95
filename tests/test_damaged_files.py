"""Damaged files are refused in one line or read as something valid: no traceback, hang or flood.

``SSS_FUZZ_EXAMPLES=1000 python -m pytest tests/test_damaged_files.py`` looks longer than CI does.
"""

import contextlib
import copy
import io
import json
import math
import os
import resource
import time
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pillow_heif
import pytest
import tifffile
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from safetensors.torch import save_file
from scipy.io import savemat
from torch import nn

from sss.cli.train import parse_command
from sss.console import run_main
from sss.data.bsds500 import Bsds500
from sss.data.coco_instances import CocoInstances
from sss.data.folder import FolderDataset
from sss.data.masks import MaskDataset
from sss.evaluation.methods.background_removers import SalientNetwork
from sss.export import export_onnx
from sss.image import read_image
from sss.models.base import ModelConfig
from sss.models.checkpoints import load_checkpoint, save_checkpoint
from sss.models.feature_files import read_embedding
from sss.models.onnx_network import OnnxNetwork
from sss.models.registry import build_network
from sss.models.weights import load_encoder_weights
from sss.processes import peak_memory_mb
from sss.training.state import RunProgress, load_state, save_state

EXAMPLES = int(os.environ.get("SSS_FUZZ_EXAMPLES", "10"))
MOST_SECONDS = 20
MOST_MEMORY_MB = 2000

pytestmark = [
    pytest.mark.timeout(300 + 5 * EXAMPLES),
    pytest.mark.skipif(
        not Path("/proc/self/statm").exists(), reason="measures memory as Linux does"
    ),
]
fuzz = settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES < 100,  # CI tries the same ones each time
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

H, W = 24, 36
PIXELS = np.dstack(
    [
        np.add.outer(np.arange(H) * 5, np.arange(W) * 3),
        np.multiply.outer(np.arange(H), np.arange(W)) % 256,
        np.full((H, W), 90),
    ]
).astype(np.uint8)


@pytest.fixture(autouse=True)
def _no_flood() -> Iterator[None]:
    """Asking for much more memory fails, before the machine is brought to its knees."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 2 * MOST_MEMORY_MB * 2**20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def try_to_read(read: Callable[[], object]) -> None:
    """What a program does with it: a result, or exit code 2 after one line."""
    said = io.StringIO()
    before, started = peak_memory_mb(), time.monotonic()
    with contextlib.redirect_stderr(said):
        code = run_main(lambda: (read(), 0)[1])
    assert code in (0, 2)
    if code:
        (line,) = said.getvalue().rstrip("\n").split("\n")
        assert line.startswith("error: ")
        assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in line)
        assert len(line) < 1000
    assert time.monotonic() - started < MOST_SECONDS
    assert peak_memory_mb() - before < MOST_MEMORY_MB


# --- ways to damage -------------------------------------------------------------------------------


class Accident(NamedTuple):
    """Something that happens to a file."""

    kind: str
    where: float
    number: int
    noise: bytes

    def happens_to(self, data: bytearray) -> None:
        at, length = int(self.where * len(data)), len(self.noise)
        match self.kind:
            case "bit":
                data[at] ^= 1 << self.number % 8
            case "value":  # counts, sizes and offsets of binary formats
                data[at : at + 4] = self.number.to_bytes(4, "big" if length % 2 else "little")
            case "cut":
                del data[max(at, 1) :]
            case "lose":
                del data[at : at + length]
            case "double":
                data[at:at] = data[at : at + length]
            case "zeros":
                data[at : at + length] = bytes(len(data[at : at + length]))
            case "noise":
                data[at : at + length] = self.noise


accidents = st.lists(
    st.builds(
        Accident,
        kind=st.sampled_from(["bit", "value", "cut", "lose", "double", "zeros", "noise"]),
        where=st.floats(0, 1, exclude_max=True),
        number=st.sampled_from([0, 1, 5, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
        | st.integers(0, 2**32 - 1),
        noise=st.binary(min_size=1, max_size=64),
    ),
    min_size=1,
    max_size=3,
)


def damaged(valid: bytes, happened: list[Accident]) -> bytes:
    """The bytes of a valid file after all accidents."""
    data = bytearray(valid)
    for accident in happened:
        if data:
            accident.happens_to(data)
    return bytes(data)


def png_with_right_sums(data: bytes) -> bytes:
    """With the checksum of each chunk computed anew, so that the damage reaches the decoder."""
    out, at = data[:8], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        if at + 12 + length > len(data):
            break
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + length
    return out + data[at:]


JUNK = [
    *(None, True, False, 0, -1, 3, 1.5, 10**30, -1e308, math.nan, math.inf),
    *("", "x", "1", "../../x", "\x1b[31m", "ü" * 300, [], {}, [[]], [None], {"a": None}, [1, "x"]),
]


@st.composite
def changed(draw: st.DrawFn, tree: Any) -> Any:
    """A tree of dicts and lists after one to three nodes were replaced, lost, doubled or moved."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(tree))
        if not places:
            return draw(st.sampled_from(JUNK))
        inside, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "replace", "lose", "double", "move"])):
            case "replace":
                inside[key] = copy.deepcopy(draw(st.sampled_from(JUNK)))
            case "lose":
                del inside[key]
            case "double" if isinstance(inside, list):
                inside.append(copy.deepcopy(inside[key]))
            case _:
                other, there = draw(st.sampled_from(places))
                with contextlib.suppress(LookupError):
                    inside[key] = copy.deepcopy(other[there])
    return tree


def _places(tree: Any) -> Any:
    """All (container, key) below a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


# --- photos ---------------------------------------------------------------------------------------


def encoded(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    picture = Image.fromarray(PIXELS)
    if mode == "RGBA":
        picture.putalpha(Image.fromarray(PIXELS[..., 0]))
    else:
        picture = picture.convert(mode)
    picture.save(out, kind, **options)
    return out.getvalue()


def tiff(samples: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, samples, photometric="rgb", **options)
    return out.getvalue()


def heif() -> bytes:
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(PIXELS)).save(out, exif=exif().tobytes())
    return out.getvalue()


def exif() -> Image.Exif:
    notes = Image.Exif()
    notes[0x0112] = 6
    notes[0x010E] = "a photo"
    return notes


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WORDS = PIXELS.astype(np.uint16) * 257

PHOTOS = {
    "jpeg": (".jpg", encoded("JPEG", exif=exif(), icc_profile=PROFILE)),
    "jpeg-progressive": (".jpg", encoded("JPEG", progressive=True)),
    "jpeg-cmyk": (".jpg", encoded("JPEG", "CMYK")),
    "png": (".png", encoded("PNG", exif=exif(), icc_profile=PROFILE)),
    "png-palette": (".png", encoded("PNG", "P", transparency=3)),
    "png-alpha": (".png", encoded("PNG", "RGBA")),
    "tiff": (".tif", tiff(PIXELS)),
    "tiff-16": (".tif", tiff(WORDS, compression="zlib", predictor=True)),
    "tiff-tiles": (".tif", tiff(PIXELS, tile=(16, 16), compression="lzw")),
    "tiff-planes": (".tif", tiff(np.moveaxis(PIXELS, 2, 0), planarconfig="separate")),
    "tiff-bilevel": (".tif", encoded("TIFF", "1", compression="group4")),
    "webp": (".webp", encoded("WEBP", exif=exif(), icc_profile=PROFILE)),
    "webp-lossless": (".webp", encoded("WEBP", "RGBA", lossless=True)),
    "gif": (".gif", encoded("GIF", "P")),
    "bmp": (".bmp", encoded("BMP")),
    "avif": (".avif", encoded("AVIF", exif=exif(), icc_profile=PROFILE)),
    "heif": (".heic", heif()),
}


def read_whole_photo(path: Path) -> None:
    photo = read_image(path)
    assert photo.ndim == 3
    assert photo.shape[2] == 3
    assert photo.dtype == np.float32
    assert photo.min() >= 0
    assert photo.max() <= 1


@pytest.mark.parametrize("kind", PHOTOS)
@fuzz
@given(happened=accidents, right_sums=st.booleans())
def test_photos(kind: str, tmp_path: Path, happened: list[Accident], right_sums: bool) -> None:
    suffix, valid = PHOTOS[kind]
    found = damaged(valid, happened)
    if suffix == ".png" and right_sums:
        found = png_with_right_sums(found)
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(found)
    try_to_read(lambda: read_whole_photo(path))


# --- data sets ------------------------------------------------------------------------------------

LABELS = np.repeat([1, 2], [10, W - 10]).astype(np.uint16) * np.ones((H, 1), np.uint16)


def read_all(dataset: Any) -> None:
    for index in range(len(dataset)):
        photo, labels = dataset[index]
        assert photo.dtype == np.uint8
        assert photo.shape[2] == 3
        assert labels.shape[1:] == photo.shape[:2]
        assert labels.dtype == np.int32


@pytest.mark.parametrize("compressed", [False, True])
@fuzz
@given(happened=accidents)
def test_segmentations_of_bsds(compressed: bool, tmp_path: Path, happened: list[Accident]) -> None:
    photos, truths = tmp_path / "images" / "val", tmp_path / "groundTruth" / "val"
    photos.mkdir(parents=True, exist_ok=True)
    truths.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(photos / "1.jpg")
    people = np.empty((1, 2), object)
    for person in range(2):
        people[0, person] = {"Segmentation": LABELS, "Boundaries": LABELS > 1}
    out = io.BytesIO()
    savemat(out, {"groundTruth": people}, do_compression=compressed)
    (truths / "1.mat").write_bytes(damaged(out.getvalue(), happened))
    try_to_read(lambda: read_all(Bsds500(tmp_path, "val")))


def a_box(left: int, top: int, width: int, height: int) -> list[int]:
    right, bottom = left + width, top + height
    return [left, top, right, top, right, bottom, left, bottom]


COCO = {
    "info": {"year": 2020},
    "images": [
        {"id": number, "file_name": f"{number}.jpg", "width": W, "height": H} for number in (1, 2)
    ],
    "annotations": [
        {
            "id": 10 * number + part,
            "image_id": number,
            "category_id": 1,
            "bbox": [2, 2, 10, 10],
            "area": 100.0,
            "iscrowd": 0,
            "segmentation": [a_box(2 + 12 * part, 2, 10, 10)],
        }
        for number in (1, 2)
        for part in (0, 1)
    ]
    + [
        {
            "id": 99,
            "image_id": 1,
            "category_id": 1,
            "area": 40.0,
            "iscrowd": 1,
            "segmentation": {"size": [H, W], "counts": [100, 40, H * W - 140]},
        }
    ],
    "categories": [{"id": 1, "name": "thing", "supercategory": "all"}],
}


def coco_photos(root: Path) -> None:
    (root / "images").mkdir(exist_ok=True)
    for number in (1, 2):
        Image.fromarray(PIXELS).save(root / "images" / f"{number}.jpg")


@fuzz
@given(content=changed(COCO))
def test_annotations_of_coco(content: Any, tmp_path: Path) -> None:
    coco_photos(tmp_path)
    for split in ("train", "val"):
        (tmp_path / f"instances_{split}.json").write_text(json.dumps(content))
    try_to_read(lambda: read_all(CocoInstances(tmp_path, "val")))


@fuzz
@given(happened=accidents)
def test_bytes_of_annotations_of_coco(happened: list[Accident], tmp_path: Path) -> None:
    coco_photos(tmp_path)
    for split in ("train", "val"):
        (tmp_path / f"instances_{split}.json").write_bytes(
            damaged(json.dumps(COCO).encode(), happened)
        )
    try_to_read(lambda: read_all(CocoInstances(tmp_path, "val")))


@pytest.mark.parametrize("depth", [8, 16])
@fuzz
@given(happened=accidents)
def test_label_maps(depth: int, tmp_path: Path, happened: list[Accident]) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir(exist_ok=True)
    Image.fromarray(PIXELS).save(tmp_path / "images" / "1.png")
    out = io.BytesIO()
    Image.fromarray(LABELS.astype(np.uint8) if depth == 8 else LABELS).save(out, "PNG")
    found = png_with_right_sums(damaged(out.getvalue(), happened))
    (tmp_path / "labels" / "1.png").write_bytes(found)
    try_to_read(lambda: read_all(FolderDataset(tmp_path, "train")))


# --- embeddings, checkpoints, configs -------------------------------------------------------------

EMBEDDING = np.random.default_rng(0).random((H, W, 4), np.float32)


def stored_embedding(suffix: str) -> bytes:
    out = io.BytesIO()
    match suffix:
        case ".npy":
            np.save(out, EMBEDDING)
        case ".npz":
            np.savez_compressed(out, embedmap=EMBEDDING)
        case ".mat":
            savemat(out, {"embedmap": EMBEDDING})
    return out.getvalue()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat"])
@fuzz
@given(happened=accidents)
def test_embeddings(suffix: str, tmp_path: Path, happened: list[Accident]) -> None:
    path = tmp_path / f"embedding{suffix}"
    path.write_bytes(damaged(stored_embedding(suffix), happened))

    def read() -> None:
        embedding = read_embedding(path)
        assert embedding.ndim == 3
        assert embedding.dtype == np.float32

    try_to_read(read)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    config = ModelConfig(name="unet_plain", base_channels=2, dim=8, weights="none")
    path = tmp_path_factory.mktemp("checkpoint") / "network.safetensors"
    save_checkpoint(path, build_network(config), config, {"step": 3})
    return path.read_bytes()


@pytest.mark.parametrize("part", ["header", "anywhere"])
@fuzz
@given(happened=accidents)
def test_checkpoints(
    part: str, checkpoint: bytes, tmp_path: Path, happened: list[Accident]
) -> None:
    end = 8 + int.from_bytes(checkpoint[:8], "little") if part == "header" else len(checkpoint)
    path = tmp_path / "network.safetensors"
    path.write_bytes(damaged(checkpoint[:end], happened) + checkpoint[end:])
    try_to_read(lambda: load_checkpoint(path))


@pytest.fixture(scope="module")
def export(checkpoint: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("export")
    (folder / "network.safetensors").write_bytes(checkpoint)
    export_onnx(folder / "network.safetensors", folder / "network.onnx")
    return (folder / "network.onnx").read_bytes()


@fuzz
@given(happened=accidents)
def test_exports(export: bytes, tmp_path: Path, happened: list[Accident]) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(damaged(export, happened))
    try_to_read(lambda: OnnxNetwork(path))


@fuzz
@given(happened=accidents)
def test_networks_of_background_removers(
    export: bytes, tmp_path: Path, happened: list[Accident]
) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(damaged(export, happened))
    try_to_read(lambda: SalientNetwork(path))


@fuzz
@given(happened=accidents)
def test_masks(tmp_path: Path, happened: list[Accident]) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir(exist_ok=True)
    Image.fromarray(PIXELS).save(tmp_path / "images" / "a.png")
    Image.fromarray(255 * (PIXELS[..., 0] > 90).astype(np.uint8)).save(tmp_path / "whole.png")
    damage = damaged((tmp_path / "whole.png").read_bytes(), happened)
    (tmp_path / "masks" / "a.png").write_bytes(damage)
    try_to_read(lambda: MaskDataset(tmp_path)[0])


@fuzz
@given(happened=accidents)
def test_states_of_training(tmp_path: Path, happened: list[Accident]) -> None:
    part = nn.Linear(3, 4)
    save_state(tmp_path / "whole.pt", RunProgress(step=3, losses=[0.5, 0.25]), {"network": part})
    path = tmp_path / "last.pt"
    path.write_bytes(damaged((tmp_path / "whole.pt").read_bytes(), happened))
    try_to_read(lambda: load_state(path, {"network": part}))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
@fuzz
@given(happened=accidents)
def test_weights_of_encoders(suffix: str, tmp_path: Path, happened: list[Accident]) -> None:
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    whole, path = tmp_path / "whole", tmp_path / f"encoder{suffix}"
    if suffix == ".safetensors":
        save_file(encoder.state_dict(), whole)
    else:  # torch's old format has no zip around it
        torch.save(encoder.state_dict(), whole, _use_new_zipfile_serialization=suffix == ".pt")
    path.write_bytes(damaged(whole.read_bytes(), happened))
    try_to_read(lambda: load_encoder_weights(encoder, path))


CONFIG = (Path(__file__).parents[1] / "configs" / "small_cpu.yaml").read_text(encoding="utf-8")


@fuzz
@given(happened=accidents)
def test_bytes_of_configs(happened: list[Accident], tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(damaged(CONFIG.encode(), happened))
    try_to_read(lambda: parse_command(["--config", str(path), "--dry-run"]))


@fuzz
@given(content=changed(yaml.safe_load(CONFIG)))
def test_values_of_configs(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    try_to_read(lambda: parse_command(["--config", str(path), "--dry-run"]))
