"""infer.py from the command line to the files."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
import torch
from PIL import Image

import infer
import sss.cli.photo_worker as worker
from sss.cli.common import run_main
from sss.cuda.backend import NUMPY
from sss.errors import InputError
from sss.files import file_sha256
from sss.models.checkpoints import save_checkpoint
from sss.models.registry import ModelConfig, build_network
from sss.spectral.segmenter import SoftLayers

REPOSITORY = Path(__file__).parents[2]
STAGES = ["read", "features", "reduce", "graph", "eigenvectors", "components"]
STAGES += ["grouping", "relaxed", "foreground", "write"]


def scene(height: int = 24, width: int = 30) -> np.ndarray:
    """uint8 photo: two grounds side by side, before them a disc; a little noise."""
    y, x = np.mgrid[:height, :width]
    photo = np.where((x < 0.55 * width)[..., None], [200, 60, 40], [40, 150, 70])
    disc = (x - 0.4 * width) ** 2 + (y - 0.5 * height) ** 2 < (0.25 * height) ** 2
    photo[disc] = [60, 60, 220]
    noise = np.random.default_rng(0).normal(scale=4, size=photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(decoder_channels=[8, 8, 8], dim=8, weights="none")
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, build_network(config), config, {"step": 1})
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(scene()).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Made by hand for ``photo``: its own colours, so that no network is needed."""
    np.save(tmp_path / "features.npy", scene().astype(np.float32) / 255)
    return tmp_path / "features.npy"


class Infer:
    """Runs infer.py within this process, writing to ``out``."""

    def __init__(self, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.out = out
        self.capsys = capsys
        self.lines: list[str] = []

    def __call__(self, *arguments: object) -> int:
        texts = [*map(str, arguments), *([] if "-o" in arguments else ["-o", str(self.out)])]
        code = run_main(lambda: infer.main(texts))
        shown = self.capsys.readouterr()
        assert shown.out == ""
        assert "Traceback" not in shown.err
        self.lines = shown.err.splitlines()
        return code

    @property
    def errors(self) -> list[str]:
        return [line for line in self.lines if line.startswith("error: ")]

    def refused(self, *arguments: object) -> str:
        """The only error line of a call that must fail without leaving anything behind."""
        assert self(*arguments) == 2
        assert len(self.errors) == 1
        assert not self.out.exists()
        return self.errors[0]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Infer:
    return Infer(tmp_path / "out", capsys)


class QuickSegmenter:
    """In place of the spectral core where only files and messages count: slices by brightness."""

    seen: list[np.ndarray]
    groupings: list[str]

    def __init__(
        self, layers: int | None, _solver: str, _seed: int, grouping: str, backend: object
    ) -> None:
        assert backend is NUMPY
        self.layers = layers or 3
        type(self).groupings.append(grouping)

    def __call__(self, photo: np.ndarray, features, embedding, progress) -> SoftLayers:
        type(self).seen.append(photo)
        progress("components", 0.5)
        rank = photo.mean(axis=2).argsort(axis=None).argsort() * self.layers // photo[..., 0].size
        alpha = np.eye(self.layers, dtype=np.float32)[rank].reshape(*photo.shape[:2], -1)
        return SoftLayers(alpha, alpha.astype(float), self.layers, {"components": 0.1})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> type[QuickSegmenter]:
    QuickSegmenter.seen, QuickSegmenter.groupings = [], []
    monkeypatch.setattr(worker, "SoftSegmenter", QuickSegmenter)
    return QuickSegmenter


def alpha_of(folder: Path) -> np.ndarray:
    with np.load(folder / "layers.npz") as archive:
        assert archive.files == ["alpha"]
        return archive["alpha"]


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder but the reports, which tell times."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if path.name != "report.json"
    }


# --- the contract's files -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    """The folder of one photo, split with all there is; tests must not change it."""
    folder = tmp_path_factory.mktemp("done")
    Image.fromarray(scene()).save(folder / "photo.png")
    arguments = [folder / "photo.png", "-o", folder / "out", "--checkpoint", checkpoint]
    assert infer.main([*map(str, arguments), "--save-features", "--seed", "3"]) == 0
    return folder / "out" / "photo"


def test_alpha_is_a_stack_of_layers_largest_first(done: Path) -> None:
    alpha = alpha_of(done)
    assert alpha.dtype == np.float32
    assert alpha.shape == (24, 30, 5)
    assert 0 <= alpha.min() < 0.01
    assert 0.99 < alpha.max() <= 1
    np.testing.assert_allclose(alpha.sum(axis=2), 1, atol=1e-5)
    sizes = alpha.sum(axis=(0, 1), dtype=float)
    assert (np.diff(sizes) <= 0).all()


def test_pictures_are_straight_alpha_and_add_up_to_the_photo(done: Path) -> None:
    alpha = alpha_of(done)
    total = np.zeros((24, 30, 3))
    for k in range(5):
        with Image.open(done / f"layer_{k}.png") as image:
            assert image.mode == "RGBA"
            pixels = np.asarray(image).astype(float)
        np.testing.assert_allclose(pixels[..., 3], alpha[..., k] * 255, atol=1.01)
        total += pixels[..., :3] * pixels[..., 3:] / 255
    np.testing.assert_allclose(total, scene(), atol=3)


def test_no_other_files(done: Path) -> None:
    layers = {f"layer_{k}.png" for k in range(5)}
    expected = {"layers.npz", "overview.png", "report.json", "features.npy", *layers}
    assert {path.name for path in done.iterdir()} == expected


def test_overview_is_a_picture(done: Path) -> None:
    with Image.open(done / "overview.png") as image:
        assert image.mode == "RGB"
        assert image.width > 600
        assert np.asarray(image).std() > 20


def test_saved_features_are_the_network_s(done: Path, checkpoint: Path) -> None:
    from sss.models.predictor import open_predictor

    saved = np.load(done / "features.npy")
    assert saved.dtype == np.float16
    assert saved.shape == (24, 30, 8)
    expected = open_predictor(checkpoint, "cpu")(scene())
    np.testing.assert_allclose(saved, expected, rtol=2e-3, atol=1e-3)


def test_report(done: Path, checkpoint: Path) -> None:
    report = report_of(done)
    assert list(report["seconds"]) == STAGES
    assert all(seconds >= 0 for seconds in report["seconds"].values())
    assert sum(report["seconds"].values()) <= report["total_seconds"] + 0.01
    assert report["startup_seconds"] > 0
    assert 50 < report["peak_memory_mb"] < 20_000
    assert (report["height"], report["width"], report["layers"]) == (24, 30, 5)
    assert report["components"] >= 5
    assert (report["solver"], report["seed"]) == ("coarse", 3)
    assert report["checkpoint_sha256"] == file_sha256(checkpoint)
    assert report["checkpoint"] == str(checkpoint)
    assert report["photo"].endswith("photo.png")
    assert report["versions"]["numpy"] == np.__version__
    assert report["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert report["settings"] == {
        "layers": 5,
        "grouping": "linkage",
        "features": None,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "max_side": None,
        "save_features": True,
        "jobs": 1,
    }


def test_same_seed_same_bytes_another_seed_others(
    run: Infer, photo: Path, done: Path, checkpoint: Path
) -> None:
    arguments = (photo, "--checkpoint", checkpoint, "--save-features", "--overwrite")
    assert run(*arguments, "--seed", 3) == 0
    assert contents(run.out / "photo") == contents(done)
    others = []
    for seed in (4, 5, 6, 7):
        assert run(*arguments, "--seed", seed) == 0
        assert report_of(run.out / "photo")["seed"] == seed
        others.append(np.array_equal(alpha_of(run.out / "photo"), alpha_of(done)))
    assert not all(others)  # on so small a photo, some start in the same clusters


def test_grouping_reaches_the_segmenter(
    run: Infer, photo: Path, features: Path, quick: type[QuickSegmenter]
) -> None:
    for given, expected in (((), "linkage"), (("--grouping", "kmeans"), "kmeans")):
        assert run(photo, "--features", features, "--overwrite", *given) == 0
        assert quick.groupings[-1] == expected
        assert report_of(run.out / "photo")["settings"]["grouping"] == expected


def test_exact_solver(run: Infer, photo: Path, features: Path) -> None:
    assert run(photo, "--features", features, "--solver", "exact") == 0
    report = report_of(run.out / "photo")
    assert report["solver"] == "exact"
    assert report["layers"] == alpha_of(run.out / "photo").shape[2]


@pytest.mark.parametrize("size", [(16, 16), (16, 90)])
def test_the_smallest_photos(run: Infer, tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(scene(*size)).save(tmp_path / "small.png")
    code = run(tmp_path / "small.png", "--features", tmp_path / "small.png", "--layers", 2)
    assert (code, run.errors) == (0, [])
    assert alpha_of(run.out / "small").shape == (*size, 2)


def test_a_photo_of_one_colour(run: Infer, tmp_path: Path, checkpoint: Path) -> None:
    Image.new("RGB", (20, 20), (90, 90, 90)).save(tmp_path / "flat.png")
    assert run(tmp_path / "flat.png", "--checkpoint", checkpoint) == 0
    alpha = alpha_of(run.out / "flat")
    np.testing.assert_allclose(alpha.sum(axis=2), 1, atol=1e-5)


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
def test_number_of_layers(run: Infer, photo: Path, features: Path, quick, count: int) -> None:
    assert run(photo, "--features", features, "--layers", count) == 0
    assert alpha_of(run.out / "photo").shape == (24, 30, count)
    assert report_of(run.out / "photo")["settings"]["layers"] == count


def test_automatic_number_of_layers(run: Infer, photo: Path, features: Path) -> None:
    assert run(photo, "--features", features, "--layers", "auto") == 0
    report = report_of(run.out / "photo")
    assert report["layers"] == 3  # two grounds and a disc, told apart by colour
    assert report["settings"]["layers"] == "auto"


def test_fewer_layers_than_asked_for_are_reported(
    run: Infer, photo: Path, features: Path, quick, caplog: pytest.LogCaptureFixture
) -> None:
    quick.__call__, call = lambda *given: few(call(*given)), quick.__call__

    def few(result: SoftLayers) -> SoftLayers:
        alpha = np.ones((24, 30, 1), np.float32)
        return SoftLayers(alpha, alpha, 1, result.seconds)

    try:
        assert run(photo, "--features", features, "--layers", 4) == 0
    finally:
        quick.__call__ = call
    assert "photo.png: only 1 layers" in caplog.text
    assert report_of(run.out / "photo")["layers"] == 1


def test_max_side(run: Infer, photo: Path, checkpoint: Path, quick) -> None:
    assert run(photo, "--checkpoint", checkpoint, "--max-side", 20) == 0
    assert quick.seen[0].shape == (16, 20, 3)
    report = report_of(run.out / "photo")
    assert (report["height"], report["width"]) == (16, 20)
    assert report["settings"]["max_side"] == 20


def test_done_photos_are_passed_over(run: Infer, photo: Path, features: Path, quick) -> None:
    assert run(photo, "--features", features) == 0
    before = contents(run.out)
    assert run(photo, "--features", features, "--layers", 2) == 0
    assert "done already" in run.lines[0]
    assert "--overwrite" in run.lines[0]
    assert len(quick.seen) == 1
    assert contents(run.out) == before
    assert run(photo, "--features", features, "--layers", 2, "--overwrite") == 0
    assert len(quick.seen) == 2
    names = {"layer_0.png", "layer_1.png", "layers.npz", "overview.png"}
    assert {Path(name).name for name in contents(run.out)} == names  # no third layer left


def test_another_photo_of_the_same_name_is_no_done_one(
    run: Infer, photo: Path, features: Path, quick, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = photo.rename(tmp_path / "other" / "photo.png")
    assert run(other, "--features", features) == 0
    Image.fromarray(scene()[::-1]).save(photo)
    assert run(photo, "--features", features) == 2
    assert run.errors == [
        f"error: {photo}: {run.out / 'photo'} holds the layers of {other}; --overwrite replaces "
        "them, another -o keeps both"
    ]
    other.unlink()  # nobody knows any more: taken as done
    assert run(photo, "--features", features) == 0


def test_save_features_belong_to_the_last_run(
    run: Infer, photo: Path, features: Path, quick
) -> None:
    saved = run.out / "photo" / "features.npy"
    np.save(features, np.full((24, 30, 5), 1e6) * np.linspace(-1, 1, 30)[:, None])
    assert run(photo, "--features", features, "--save-features") == 0
    assert np.isfinite(np.load(saved)).all()  # beyond half precision, yet no infinity
    assert np.load(saved).shape == (24, 30, 5)
    assert run(photo, "--features", features, "--overwrite") == 0
    assert not saved.exists()


# --- kinds of photos ------------------------------------------------------------------------------


def seen_alike(given: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert given.shape == expected.shape
    assert np.abs(given * 255 - expected).mean() < tolerance


def test_turned_jpeg(run: Infer, tmp_path: Path, checkpoint: Path, quick) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(np.rot90(scene())).save(
        tmp_path / "t.jpg", quality=98, subsampling=0, exif=exif
    )
    assert run(tmp_path / "t.jpg", "--checkpoint", checkpoint) == 0
    seen_alike(quick.seen[0], scene(), 3)
    assert alpha_of(run.out / "t").shape[:2] == (24, 30)


@pytest.mark.parametrize("mode", ["RGBA", "L", "LA", "I;16", "P", "1"])
def test_kinds_of_png(run: Infer, tmp_path: Path, checkpoint: Path, quick, mode: str) -> None:
    grey = np.asarray(Image.fromarray(scene()).convert("L"))
    expected = scene() if mode == "RGBA" else np.repeat(grey[..., None], 3, axis=2)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "P":
        palette = np.array([[200, 60, 40], [40, 150, 70], [60, 60, 220]], dtype=np.uint8)
        image = Image.fromarray(grey // 86, mode="P")
        image.putpalette(palette.tobytes())
        expected = palette[grey // 86]
    elif mode == "1":
        image = Image.fromarray(grey > 100)
        expected = np.repeat(255 * (grey > 100)[..., None], 3, axis=2)
    else:
        image = Image.fromarray(scene()).convert(mode)
    image.save(tmp_path / "photo.png")
    with Image.open(tmp_path / "photo.png") as saved:
        assert saved.mode == mode
    assert run(tmp_path / "photo.png", "--checkpoint", checkpoint) == 0
    seen_alike(quick.seen[0], expected, 0.01)


# --- bad input ------------------------------------------------------------------------------------


def spoil(path: Path, how: str) -> Path:
    """A photo that cannot be used."""
    if how == "cut off":
        Image.fromarray(scene()).save(path, format="JPEG", quality=95)
        path.write_bytes(path.read_bytes()[:400])
    elif how == "text":
        path.write_text("a letter, not a photo\n" * 30)
    elif how == "empty":
        path.touch()
    else:
        side = int(how)
        Image.fromarray(scene()[:side, :side]).save(path)
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut off", "damaged or cut off"),
        ("text", "bad.jpg"),
        ("empty", "is empty"),
        ("1", "1 × 1 pixels; expected 16 or more"),
        ("8", "8 × 8 pixels; expected 16 or more"),
    ],
)
def test_bad_photo(run: Infer, tmp_path: Path, checkpoint: Path, how: str, said: str) -> None:
    bad = spoil(tmp_path / "bad.jpg", how)
    error = run.refused(bad, "--checkpoint", checkpoint)
    assert said in error
    assert error.count(str(bad)) == 1


def test_missing_photo_and_folder_without_photos(run: Infer, tmp_path: Path) -> None:
    assert "nowhere.jpg does not exist" in run.refused(tmp_path / "nowhere.jpg")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("dear")
    assert "letters has no photos; expected files ending in .jpg" in run.refused(
        tmp_path / "letters"
    )
    assert "is not of a supported kind" in run.refused(
        tmp_path / "letters" / "one.txt", "--features", tmp_path / "x.npy"
    )


def test_bad_features(run: Infer, photo: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.zeros((30, 24, 8)))
    error = run.refused(photo, "--features", tmp_path / "f.npy")
    assert "the embedding is 30×24×8, expected 24×30×D" in error
    assert "no embedding at" in run.refused(photo, "--features", tmp_path / "none.npy")
    (tmp_path / "f.npy").write_text("0.1 0.2 0.3")
    assert "f.npy is not a NumPy file" in run.refused(photo, "--features", tmp_path / "f.npy")


def test_features_belong_to_one_photo(run: Infer, photo: Path, features: Path) -> None:
    Image.fromarray(scene()).save(photo.with_name("second.png"))
    assert "--features belongs to one photo, but 2 were given" in run.refused(
        photo, photo.with_name("second.png"), "--features", features
    )


def test_bad_checkpoints(run: Infer, photo: Path, checkpoint: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.safetensors"
    assert f"no checkpoint at {missing}" in run.refused(photo, "--checkpoint", missing)
    assert f"no checkpoint at {tmp_path / 'best'}" in run.refused(photo, "--checkpoint", tmp_path)
    missing.write_text("not a checkpoint " * 10)
    assert "is not a safetensors checkpoint" in run.refused(photo, "--checkpoint", missing)
    config = ModelConfig(decoder_channels=[8, 8, 8], dim=8, weights="none")
    other = ModelConfig(decoder_channels=[16, 8, 8], dim=8, weights="none")
    save_checkpoint(tmp_path / "mixed.safetensors", build_network(config), other, {})
    error = run.refused(photo, "--checkpoint", tmp_path / "mixed.safetensors")
    assert "do not fit the network it names, 'photo_unet'" in error


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(run: Infer, photo: Path, checkpoint: Path) -> None:
    error = run.refused(photo, "--checkpoint", checkpoint, "--device", "cuda")
    assert error == "error: --device cuda: torch sees no CUDA GPU here; use --device cpu"


@pytest.mark.parametrize("deeper", ["", "x", "x/y"])
def test_output_that_cannot_be_written(
    run: Infer, photo: Path, features: Path, quick, tmp_path: Path, deeper: str
) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    target = tmp_path / "file" / deeper
    error = run.refused(photo, "--features", features, "-o", target)
    assert error == f"error: cannot write to {target}: Not a directory; choose another -o"
    assert not quick.seen  # found out before the work


def test_a_photo_s_folder_that_is_a_file(run: Infer, photo: Path, features: Path, quick) -> None:
    run.out.mkdir()
    (run.out / "photo").write_text("in the way")
    assert run(photo, "--features", features) == 2
    assert len(run.errors) == 1
    assert "cannot write to" in run.errors[0]
    assert (run.out / "photo").read_text() == "in the way"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layers", "0"], "--layers is '0', expected 1 to 40, or 'auto'"),
        (["--layers", "abc"], "--layers is 'abc', expected 1 to 40, or 'auto'"),
        (["--layers", "99"], "--layers is '99', expected 1 to 40, or 'auto'"),
        (["--layers", "-1"], "--layers is '-1', expected 1 to 40, or 'auto'"),
        (["-j", "0"], "-j is 0, expected 1 or more"),
        (["--seed", "-1"], "--seed is -1, expected 0 to 4294967295"),
        (["--seed", "one"], "argument --seed: invalid int value: 'one' (--help lists"),
        (["--max-side", "15"], "--max-side is 15, expected 16 or more pixels"),
        (["--layers", "auto", "--grouping", "kmeans"], "--layers auto needs --grouping linkage"),
        (["--solver", "fast"], "argument --solver: invalid choice: 'fast' (choose from"),
        (["--device", "tpu"], "argument --device: invalid choice: 'tpu' (choose from"),
        (["--nonsense"], "unrecognized arguments: --nonsense (--help lists the options)"),
        (["--features", "f", "--checkpoint", "c"], "--features replaces the network"),
    ],
)
def test_bad_usage(run: Infer, photo: Path, arguments: list[str], said: str) -> None:
    assert run.refused(photo, *arguments).startswith(f"error: {said}")
    assert len(run.lines) == 1


def test_nothing_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(lambda: infer.main([])) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: nothing to do; give a photo or a folder of photos")
    assert shown.count("\n") == 1


def test_help_tells_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        infer.main(["--help"])
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    named = "out checkpoint features layers solver grouping device seed max-side"
    named += " save-features overwrite"
    for option in named.split():
        assert f"--{option}" in shown
    assert "-j" in shown
    assert "(default: 5)" in shown


# --- folders --------------------------------------------------------------------------------------


def test_the_good_ones_of_a_folder_are_done(
    run: Infer, tmp_path: Path, checkpoint: Path, quick
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "c.jpg", "d.PNG"):
        Image.fromarray(scene()).save(photos / name)
    spoil(photos / "b.jpg", "text")
    spoil(photos / "e.png", "8")
    (photos / "readme.txt").write_text("no photo")
    assert run(photos, "--checkpoint", checkpoint) == 2
    assert [("b.jpg" in line, "e.png" in line) for line in run.errors] == [
        (True, False),
        (False, True),
    ]
    assert run.lines[-1] == "2 of 5 photos could not be done"
    assert sorted(path.name for path in run.out.iterdir()) == ["a", "c", "d"]
    assert all(report_of(folder)["layers"] == 5 for folder in run.out.iterdir())


def test_same_stems_go_to_folders_of_their_own(
    run: Infer, tmp_path: Path, checkpoint: Path, quick
) -> None:
    Image.fromarray(scene()).save(tmp_path / "a.jpg")
    Image.fromarray(scene()[:20]).save(tmp_path / "a.png")
    assert run(tmp_path, "--checkpoint", checkpoint) == 0
    assert sorted(path.name for path in run.out.iterdir()) == ["a_jpg", "a_png"]
    assert report_of(run.out / "a_jpg")["height"] == 24
    assert report_of(run.out / "a_png")["height"] == 20


def test_same_names_of_two_folders_are_refused(run: Infer, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    Image.fromarray(scene()).save(tmp_path / "more" / "photo.png")
    error = run.refused(photo, tmp_path / "more")
    assert f"several photos would be written to {run.out / 'photo_png'}" in error


def test_a_photo_given_twice_is_done_once(run: Infer, photo: Path, features: Path, quick) -> None:
    assert run(photo, photo.parent / "." / photo.name, photo, "--features", features) == 0
    assert len(quick.seen) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("odd\n  numbers"), "unexpected ValueError: odd numbers; please report it"),
        (np.linalg.LinAlgError("singular"), "unexpected LinAlgError: singular"),
        (KeyError("k"), "unexpected KeyError: 'k'"),
        (MemoryError(), "not enough memory; give a smaller --max-side"),
        (RuntimeError("CUDA out of memory. Tried to"), "not enough memory; give a smaller"),
        (OSError(28, "No space left on device", "/x/y"), "/x/y: No space left on device"),
        (InputError("the lens cap was on"), "the lens cap was on"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_failures_of_libraries_stop_one_photo_only(
    run: Infer, tmp_path: Path, checkpoint: Path, quick, monkeypatch, error: Exception, said: str
) -> None:
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        Image.fromarray(scene(24, 30 + number)).save(tmp_path / name)

    def call(self: QuickSegmenter, photo: np.ndarray, *rest: object) -> SoftLayers:
        if photo.shape[1] == 31:
            raise error
        return original(self, photo, *rest)

    original = quick.__call__
    monkeypatch.setattr(quick, "__call__", call)
    assert run(tmp_path, "--checkpoint", checkpoint) == 2
    assert len(run.errors) == 1
    assert run.errors[0].startswith(f"error: {tmp_path / 'b.png'}: {said}")
    assert run.lines[-1] == "1 of 3 photos could not be done"
    assert sorted(path.name for path in run.out.iterdir()) == ["a", "c"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), InputError("x")])
def test_a_photo_whose_writing_failed_is_done_again(
    run: Infer, photo: Path, features: Path, quick, monkeypatch, error: Exception
) -> None:
    assert run(photo, "--features", features) == 0

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(worker, "write_overview", fails)
        assert run(photo, "--features", features, "--layers", 2, "--overwrite") == 2
    assert len(run.errors) == 1
    assert not (run.out / "photo" / "report.json").exists()
    assert run(photo, "--features", features, "--layers", 2) == 0
    assert report_of(run.out / "photo")["layers"] == 2


def test_interruption_leaves_whole_results_only(
    run: Infer, tmp_path: Path, checkpoint: Path, quick, monkeypatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(scene()).save(tmp_path / name)

    def save(self: Image.Image, path: Path, *rest: object, **more: object) -> None:
        original(self, path, *rest, **more)
        if Path(path).parent.name == "b":
            raise KeyboardInterrupt

    original = Image.Image.save
    monkeypatch.setattr(Image.Image, "save", save)
    assert run(tmp_path, "--checkpoint", checkpoint) == 130
    assert run.lines[-1] == "stopped"
    assert report_of(run.out / "a")["layers"] == 5
    assert list((run.out / "b").iterdir()) == []
    assert not (run.out / "c").exists()


# --- threads, warnings, imports -------------------------------------------------------------------


def test_one_thread_so_that_results_do_not_depend_on_cores(
    run: Infer, photo: Path, checkpoint: Path, quick, monkeypatch
) -> None:
    threads: list[int] = []

    def call(self: QuickSegmenter, *given: object) -> SoftLayers:
        threads.extend(pool["num_threads"] for pool in threadpoolctl.threadpool_info())
        threads.append(torch.get_num_threads())
        return original(self, *given)

    original = quick.__call__
    monkeypatch.setattr(quick, "__call__", call)
    before = torch.get_num_threads()
    try:
        with threadpoolctl.threadpool_limits(2):
            torch.set_num_threads(2)
            assert run(photo, "--checkpoint", checkpoint) == 0
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert len(threads) > 1
    assert set(threads) == {1}


def script(*arguments: object, hook: str = "", folder: Path | None = None) -> subprocess.Popen:
    """infer.py as users start it; ``hook`` runs at the start of it and of its processes."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    if hook:
        assert folder is not None
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(hook)
        environment["PYTHONPATH"] += f"{os.pathsep}{folder / 'hook'}"
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "infer.py"), *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # so that a signal reaches it and its processes only
    )


def finished(process: subprocess.Popen, code: int) -> list[str]:
    """Lines on stderr of a call that ends with ``code``."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert out == ""
    assert "Traceback" not in err
    return err.splitlines()


NO_TORCH = """
import sys
class Forbidden:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("torch", "torchvision", "matplotlib", "wandb"):
            raise RuntimeError("no need of " + name)
sys.meta_path.insert(0, Forbidden())
"""

WARNING = """
import warnings, sss.image.reading as photo
read = photo.read_photo
def read_photo(*given):
    warnings.warn("a library is worried", RuntimeWarning)
    warnings.warn("a library is old", DeprecationWarning)
    return read(*given)
photo.read_photo = read_photo
"""


def test_features_need_no_torch_and_warnings_stay_away(
    photo: Path, features: Path, tmp_path: Path
) -> None:
    process = script(
        *(photo, "--features", features, "-o", tmp_path / "out"),
        hook=NO_TORCH + WARNING,
        folder=tmp_path,
    )
    lines = finished(process, 0)
    assert lines[:-1] == [f"photo.png: {stage} …" for stage in STAGES]
    assert lines[-1].startswith(f"{photo}: 5 layers in ")
    report = report_of(tmp_path / "out" / "photo")
    assert report["checkpoint_sha256"] is None
    assert "torch" not in report["versions"]
    assert report["settings"]["features"] == str(features)


KILLED = """
import os, signal, time
import sss.image.reading as photo
read = photo.read_photo
def read_photo(path, *rest):
    if path.name == "killed.png":
        os.kill(os.getpid(), signal.SIGKILL)
    if path.name == "slow.png":
        partial = path.parent.parent / "out" / "slow" / ".partial-layers.npz"
        partial.parent.mkdir(parents=True)
        blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        (path.parent.parent / "blocked").write_text(str(blocked))
        partial.touch()
        time.sleep(100)
    return read(path, *rest)
photo.read_photo = read_photo
"""


def test_side_by_side_gives_the_same_bytes_even_when_one_is_killed(
    run: Infer, tmp_path: Path, checkpoint: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(scene()).save(photos / "a.png")
    Image.fromarray(scene()).save(photos / "killed.png")
    Image.fromarray(scene()[:, ::-1]).save(photos / "z.png")
    spoil(photos / "b.jpg", "text")
    process = script(
        *(photos, "-o", tmp_path / "two", "--checkpoint", checkpoint, "-j", 2),
        hook=KILLED,
        folder=tmp_path,
    )
    lines = finished(process, 2)
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 2
    assert "b.jpg" in errors[0]
    assert errors[1].startswith(f"error: {photos / 'killed.png'}: its process was killed")
    assert lines[-1] == "2 of 4 photos could not be done"
    (photos / "killed.png").unlink()
    (photos / "b.jpg").unlink()
    assert run(photos, "--checkpoint", checkpoint) == 0
    assert contents(run.out) == contents(tmp_path / "two")
    assert report_of(tmp_path / "two" / "a")["startup_seconds"] > 0.1
    assert report_of(tmp_path / "two" / "a")["settings"]["jobs"] == 2


def test_one_error_for_a_bad_checkpoint_side_by_side(tmp_path: Path, photo: Path) -> None:
    Image.fromarray(scene()).save(tmp_path / "second.png")
    arguments = (tmp_path, "-o", tmp_path / "out", "-j", 2, "--checkpoint", tmp_path / "none")
    lines = finished(script(*arguments), 2)
    assert len(lines) == 1
    assert lines[0].startswith(f"error: no checkpoint at {tmp_path / 'none'}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c(tmp_path: Path, jobs: int, checkpoint: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(scene()).save(photos / "other.png")
    Image.fromarray(scene()).save(photos / "slow.png")
    process = script(
        *(photos, "-o", tmp_path / "out", "--checkpoint", checkpoint, "-j", jobs),
        hook=KILLED,
        folder=tmp_path,
    )
    partial = tmp_path / "out" / "slow" / ".partial-layers.npz"
    report = tmp_path / "out" / "other" / "report.json"
    until = time.monotonic() + 100
    while not (partial.exists() and report.exists()) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its processes
    lines = finished(process, 130)
    assert lines[-1] == "stopped"
    assert report_of(report.parent)["layers"] == 5
    assert not (tmp_path / "out" / "slow" / "report.json").exists()
    # Processes beside the first must not see the signal, or each could print a traceback.
    assert (tmp_path / "blocked").read_text() == str(jobs == 2)
    if jobs == 2:  # with one job the test's own file, which nobody wrote beside, stays
        assert not partial.exists()
