import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.errors import InputError
from sss.layers import files as export
from sss.layers.files import alpha_levels, write_layers, write_report
from sss.layers.foreground import foreground_colours
from sss.threads import set_thread_count


@pytest.fixture(scope="module")
def result(scene):
    photo, alpha = scene
    return photo, alpha, foreground_colours(photo, alpha)


def png(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGBA"
        return np.asarray(image)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_and_stack(tmp_path, result):
    photo, alpha, colours = result
    folder = tmp_path / "made" / "here"
    write_layers(folder, photo, alpha, colours)
    names = {"layers.npz", "layer_0.png", "layer_1.png", "layer_2.png"}
    assert {path.name for path in folder.iterdir()} == names
    with np.load(folder / "layers.npz") as stored:
        assert stored.files == ["alpha"]
        stack = stored["alpha"]
    assert stack.dtype == np.float32
    np.testing.assert_array_equal(stack, alpha.astype(np.float32))
    np.testing.assert_allclose(stack.sum(axis=2), 1, atol=3e-7)


def test_pictures_hold_straight_alpha_and_layer_colours(tmp_path, result):
    photo, alpha, colours = result
    write_layers(tmp_path, photo, alpha, colours)
    total = np.zeros(photo.shape)
    for k in range(3):
        rgba = png(tmp_path / f"layer_{k}.png") / 255
        np.testing.assert_allclose(rgba[..., 3], alpha[..., k], atol=1.01 / 255)
        np.testing.assert_allclose(rgba[..., :3], colours[..., k, :], atol=0.51 / 255)
        total += rgba[..., 3:] * rgba[..., :3]
    np.testing.assert_allclose(total, photo, atol=2.5 / 255)


def test_two_runs_give_the_same_bytes(tmp_path, result):
    write_layers(tmp_path / "a", *result)
    write_layers(tmp_path / "b", *result)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_threads_do_not_show_in_the_files(tmp_path, result, count):
    write_layers(tmp_path / "a", *result)
    set_thread_count(count)
    try:
        write_layers(tmp_path / "b", *result)
    finally:
        set_thread_count(None)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_writing_takes_little_memory_beside_its_arrays(tmp_path):
    height, width, count = 1000, 1000, 6
    photo = np.full((height, width, 3), 0.5, np.float32)
    alpha = np.full((height, width, count), 1 / count, np.float32)
    colours = np.broadcast_to(photo[:, :, None], (*alpha.shape, 3))
    set_thread_count(2)
    tracemalloc.start()
    try:
        write_layers(tmp_path, photo, alpha, colours)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        set_thread_count(None)
    # The levels of all layers, the pictures of two, 16 MB of the stack being packed, some rows.
    assert peak < (count + 2 * 4) * height * width + 24e6


def test_alpha_levels_sum_to_255_and_stay_close():
    alpha = np.random.default_rng(0).dirichlet([0.3] * 7, size=(40, 50))
    alpha[:5, :, 2] += alpha[:5, :, 3]
    alpha[:5, :, 3] = 0
    levels = alpha_levels(alpha)
    assert levels.dtype == np.uint8
    assert (levels.sum(axis=2, dtype=int) == 255).all()
    assert np.abs(levels - 255 * alpha).max() < 1
    assert (levels[:5, :, 3] == 0).all()


def test_rounding_slips_are_mended(tmp_path, result):
    photo, alpha, colours = result
    sloppy = np.dstack([alpha[..., 0] - 4e-6, alpha[..., 1:]])
    assert sloppy.min() < 0
    write_layers(tmp_path, photo, sloppy, colours)
    with np.load(tmp_path / "layers.npz") as stored:
        assert stored["alpha"].min() == 0


def test_surplus_layers_of_an_earlier_run_go(tmp_path, result):
    photo, alpha, colours = result
    keep = ["layer_x.png", "layer_7.txt", "my_layer_9.png", "overview.png"]
    for name in ["layer_3.png", "layer_12.png", *keep]:
        (tmp_path / name).write_text("old")
    write_layers(tmp_path, photo, alpha, colours)
    assert sorted(contents(tmp_path)) == sorted(
        ["layers.npz", "layer_0.png", "layer_1.png", "layer_2.png", *keep]
    )
    assert (tmp_path / "layer_x.png").read_text() == "old"


@pytest.mark.parametrize("fails_at", ["layer_0.png", "layer_2.png"])
def test_a_failing_write_leaves_the_old_result_whole(tmp_path, result, monkeypatch, fails_at):
    photo, alpha, colours = result
    write_layers(tmp_path, photo, alpha[..., ::-1], colours[..., ::-1, :])
    (tmp_path / "layer_3.png").write_text("old")
    before = contents(tmp_path)
    saved = []

    def save(self, path, *args, **kwargs):
        saved.append(path)
        Path(path).write_bytes(b"half a pict")
        if len(saved) > int(fails_at[6]):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(InputError, match="No space left"):
        write_layers(tmp_path, photo, alpha, colours)
    assert contents(tmp_path) == before


def test_the_file_that_could_not_be_written_is_named(tmp_path, result, monkeypatch):
    save = Image.Image.save

    def fails_once(self, path, *args, **kwargs):
        if Path(path).suffix == ".png" and (np.asarray(self)[..., 3] == levels[..., 1]).all():
            raise OSError(28, "No space left on device")
        save(self, path, *args, **kwargs)

    levels = alpha_levels(result[1])
    monkeypatch.setattr(Image.Image, "save", fails_once)
    with pytest.raises(InputError, match=r"cannot write .*/layer_1\.png: No space left"):
        write_layers(tmp_path, *result)
    assert contents(tmp_path) == {}


def test_folder_that_cannot_be_made(tmp_path, result):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        write_layers(tmp_path / "file" / "out", *result)


def broken(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array[1, 2, 0] = value
    return array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, a, f: (p[:-1], a, f), r"alpha has shape .*expected \(47, 64, K\)"),
        (lambda p, a, f: (p[..., :2], a, f), r"photo has shape .*expected \(H, W, 3\)"),
        (lambda p, a, f: (broken(p, np.nan), a, f), "photo has values that are not finite"),
        (lambda p, a, f: (p * 255, a, f), "photo has values from"),
        (lambda p, a, f: (p, a[..., 0], f), "alpha has shape"),
        (lambda p, a, f: (p, a[..., :0], f), "alpha has shape"),
        (lambda p, a, f: (p, broken(a, np.inf), f), "alpha has values that are not finite"),
        (lambda p, a, f: (p, broken(a, -0.1), f), "alpha has values from -0.1"),
        (lambda p, a, f: (p, broken(a, 1.2), f), "alpha has values from 0 to 1.2"),
        (lambda p, a, f: (p, a * 0.999, f), "sum to one only within 0.001"),
        (lambda p, a, f: (p, a, f[..., :2, :]), "colours has shape"),
        (lambda p, a, f: (p, a, f[::2]), "colours has shape"),
        (lambda p, a, f: (p, a, broken(f, np.nan)), "colours has values that are not finite"),
        (lambda p, a, f: (p, a, f + 1), "colours has values from"),
    ],
)
def test_wrong_arrays_are_named_and_nothing_is_written(tmp_path, result, change, message):
    with pytest.raises(ValueError, match=message):
        write_layers(tmp_path / "out", *change(*result))
    assert not (tmp_path / "out").exists()


def test_report_round_trip(tmp_path):
    report = {
        "seconds": {"eigenvectors": np.float32(1.5)},
        "layers": np.int64(5),
        "shares": np.array([0.5, 0.25]),
        "checkpoint": Path("a/b"),
        "name": "Größe",
        "auto": None,
    }
    write_report(tmp_path / "out" / "report.json", report)
    text = (tmp_path / "out" / "report.json").read_text(encoding="utf-8")
    assert json.loads(text) == {
        "seconds": {"eigenvectors": 1.5},
        "layers": 5,
        "shares": [0.5, 0.25],
        "checkpoint": str(Path("a/b")),
        "name": "Größe",
        "auto": None,
    }
    assert text.startswith('{\n  "seconds": {\n    "eigen')  # indented, in the caller's order
    assert "Größe" in text
    assert text.endswith("}\n")


def test_report_holds_names_that_are_no_text(tmp_path):
    name = os.fsdecode(b"photo-\xff.jpg")
    write_report(tmp_path / "report.json", {"photo": name, "path": Path(name)})
    stored = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert os.fsencode(stored["photo"]) == os.fsencode(stored["path"]) == b"photo-\xff.jpg"


@pytest.mark.parametrize(
    ("value", "error"), [(float("nan"), ValueError), ({1, 2}, TypeError), (object(), TypeError)]
)
def test_report_that_json_cannot_hold_leaves_the_old_one(tmp_path, value, error):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(error):
        write_report(path, {"value": value})
    assert contents(tmp_path) == {"report.json": b"old"}


def test_report_that_fails_while_writing_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_text("old")
    written = Path.write_text

    def half(self, text, **kwargs):
        written(self, text[:3], **kwargs)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export.Path, "write_text", half)
    with pytest.raises(InputError, match="No space left"):
        write_report(path, {"a": 1})
    assert contents(tmp_path) == {"report.json": b"old"}
