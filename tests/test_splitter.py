import dataclasses
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

import sss
from sss.data.scenes import SceneDataset
from sss.errors import InputError
from sss.layers.salience import salient
from sss.models.reduction import prepare_embedding
from sss.scene import layer_count
from sss.spectral.segmenter import SoftSegmenter

CHECKPOINT = Path(__file__).parents[1] / "checkpoints"

QUICK = sss.Settings(sampled_pixels=500, n_components=12)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    pixels, _ = SceneDataset(1, 0, size=(72, 96))[0]
    return pixels


@pytest.fixture(scope="module")
def embedding(photo: np.ndarray) -> np.ndarray:
    """As a network might see it: colours and place, with a little noise."""
    place = np.moveaxis(np.indices(photo.shape[:2]), 0, -1) / 100
    noise = np.random.default_rng(0).normal(0, 0.05, (*photo.shape[:2], 5))
    return np.concatenate([photo / 255, place, noise], axis=2).astype(np.float32)


@pytest.fixture(scope="module")
def scene(photo: np.ndarray, embedding: np.ndarray) -> sss.Scene:
    return sss.Splitter(device="cpu", settings=QUICK).prepare(photo, embedding)


def test_layers_of_any_number_from_one_scene(scene: sss.Scene, photo: np.ndarray) -> None:
    for k in (1, 2, 3, 5, "auto"):
        layers = scene.layers(k)
        assert layers.alpha.shape[:2] == photo.shape[:2]
        assert len(layers) == k if k != "auto" else 2 <= len(layers) <= 8
        np.testing.assert_allclose(layers.alpha.sum(axis=2), 1, atol=1e-5)
        areas = layers.alpha.sum(axis=(0, 1), dtype=float)
        assert (np.diff(areas) <= 0).all()  # largest first
        assert layers.colors.shape == (*layers.alpha.shape, 3)
        blend = (layers.colors * layers.alpha[..., None]).sum(axis=2)
        np.testing.assert_allclose(blend, scene.photo, atol=1e-4)


def test_the_wiring_is_reduction_core_and_nothing_else(
    scene: sss.Scene, photo: np.ndarray, embedding: np.ndarray
) -> None:
    pixels = (photo / np.float32(255)).astype(np.float32)
    features3, same = prepare_embedding(embedding, pixels)
    core = SoftSegmenter(QUICK)
    components = core.decompose(pixels, features3, same)
    expected = core.refine(components, core.group(components, 4)).alpha
    np.testing.assert_array_equal(scene.layers(4).alpha, expected)


@pytest.mark.slow
def test_a_path_a_picture_and_an_array_give_the_same_layers(
    tmp_path: Path, photo: np.ndarray
) -> None:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    splitter = sss.Splitter(device="cpu", settings=QUICK)
    found = [
        splitter.prepare(source).layers(3).alpha
        for source in (tmp_path / "photo.png", str(tmp_path / "photo.png"), photo)
    ]
    found.append(sss.split(Image.fromarray(photo), 3, device="cpu", settings=QUICK).alpha)
    for alpha in found[1:]:
        np.testing.assert_array_equal(alpha, found[0])


@pytest.mark.slow
def test_a_photo_is_split_in_srgb_and_given_back_in_its_profile(
    tmp_path: Path, embedding: np.ndarray
) -> None:
    profile = imagecodecs.cms_profile("adobergb")
    stored = np.repeat(embedding[..., :1].clip(0, 1), 3, axis=2)
    stored[..., 1:] = embedding[..., 1:3].clip(0, 1)
    picture = Image.fromarray(np.rint(stored * 255).astype(np.uint8))
    picture.save(tmp_path / "wide.png", icc_profile=profile)
    picture.info["icc_profile"] = profile
    splitter = sss.Splitter(device="cpu", settings=QUICK)
    srgb = sss.read_image(tmp_path / "wide.png")
    plain = splitter.prepare(srgb, embedding).layers(3)
    assert plain.profile is None
    for source in (tmp_path / "wide.png", picture):
        layers = splitter.prepare(source, embedding).layers(3)
        np.testing.assert_array_equal(layers.photo, srgb)
        np.testing.assert_array_equal(layers.alpha, plain.alpha)
        np.testing.assert_array_equal(layers.stored, np.asarray(picture) / np.float32(255))
        assert layers.profile == profile


def test_a_given_embedding_needs_no_network(photo: np.ndarray, embedding: np.ndarray) -> None:
    splitter = sss.Splitter(checkpoint="nowhere.safetensors", device="cpu", settings=QUICK)
    assert len(splitter.prepare(photo, embedding).layers(2)) == 2
    with pytest.raises(InputError, match=r"no checkpoint at nowhere\.safetensors"):
        splitter.prepare(photo)


def test_settings_after_the_components_share_them(scene: sss.Scene) -> None:
    other = scene.with_settings(grouping="kmeans", refine=False)
    assert other.components is scene.components
    assert other.settings == dataclasses.replace(scene.settings, grouping="kmeans", refine=False)
    assert other.layers(3).details["settings"]["grouping"] == "kmeans"
    few, many = (len(scene.with_settings(auto_share=t).layers("auto")) for t in (0.05, 0.99))
    assert few < many
    with pytest.raises(InputError, match="the components depend on 'seed'"):
        scene.with_settings(seed=1)
    with pytest.raises(InputError, match="needs a number of layers"):
        other.layers("auto")


def test_the_salient_object_and_the_rest(scene: sss.Scene) -> None:
    cut = scene.salient()
    assert cut.names == ("salient", "rest")
    assert cut.alpha.shape == (72, 96, 2)
    np.testing.assert_allclose(cut.alpha.sum(axis=2), 1, atol=1e-5)
    assert cut.salience is not None
    assert cut.salience[0] > cut.salience[1]
    assert scene.saliency.shape == scene.components.alpha.shape[:2]


def test_somebodys_map_chooses_the_object(scene: sss.Scene) -> None:
    wanted = scene.layers(3).alpha[..., 2]  # whole components
    cut = scene.salient(wanted)
    found, true = cut.alpha[..., 0] > 0.5, wanted > 0.5
    assert (found == true).mean() > 0.95
    nothing, everything = (scene.salient(np.full((72, 96), value)) for value in (0.0, 1.0))
    assert len(nothing) == len(everything) == 2
    for wrong in (wanted[1:], 2 * wanted + 1, np.full((72, 96), np.nan)):
        with pytest.raises(InputError, match=r"expected \(72, 96\) and values from 0 to 1"):
            scene.salient(wrong)


def test_layers_tell_how_salient_they_are(scene: sss.Scene, tmp_path: Path) -> None:
    layers = scene.layers(3)
    assert layers.salience is not None
    assert len(layers.salience) == 3
    assert set(salient(layers)) <= {0, 1, 2}
    report = layers.save(tmp_path)
    assert report["salience"] == [round(value, 4) for value in layers.salience]


def test_the_report_tells_how_it_was_made(tmp_path: Path, scene: sss.Scene) -> None:
    report = scene.layers(3).save(tmp_path / "out", {"photo": "somewhere.jpg"})
    assert report["photo"] == "somewhere.jpg"
    assert (report["height"], report["width"], report["layers"]) == (72, 96, 3)
    assert report["checkpoint_sha256"] is None
    assert report["solver"] == "coarse"
    stages = {"reduce", "graph", "eigenvectors", "components", "grouping", "foreground", "write"}
    assert stages <= set(report["seconds"])
    assert report["total_seconds"] == pytest.approx(sum(report["seconds"].values()), abs=1e-3)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    expected = {"layers.npz", "overview.png", "report.json"}
    assert names == expected | {f"layer_{k}.png" for k in range(3)}


def test_the_embedding_of_every_pixel(tmp_path: Path, scene: sss.Scene) -> None:
    sss.Splitter(device="cpu").save_embedding(scene, tmp_path / "embedding.npy")
    stored = np.load(tmp_path / "embedding.npy")
    assert stored.dtype == np.float16
    np.testing.assert_allclose(stored, scene.embedding, atol=2e-3)


def test_from_pretrained_takes_a_folder_or_a_file(tmp_path: Path) -> None:
    (model,) = CHECKPOINT.glob("*.safetensors")
    assert sss.Splitter.from_pretrained(CHECKPOINT).checkpoint == model
    assert sss.Splitter.from_pretrained(model, device="cpu").checkpoint == model
    with pytest.raises(InputError, match=r"holds 0 \.safetensors files, expected one"):
        sss.Splitter.from_pretrained(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").touch()
    with pytest.raises(InputError, match=r"holds 2 .* \(a\.safetensors, b\.safetensors\)"):
        sss.Splitter.from_pretrained(tmp_path)
    (tmp_path / "best.safetensors").touch()
    assert sss.Splitter.from_pretrained(tmp_path).checkpoint == tmp_path  # a run folder


@pytest.mark.slow
def test_a_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = (
        "import sss\n"
        "try:\n    sss.Splitter.from_pretrained('somebody/a-model')\n"
        "except sss.InputError as error:\n    print(error)\n"
    )
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("'somebody/a-model' is no folder here, and the Hugging Face Hub did not")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("k", [0, 41, -1, 2.5, "many", "", None])
def test_impossible_numbers_of_layers(k: object) -> None:
    with pytest.raises(InputError, match="expected 1 to 40, or 'auto'"):
        layer_count(k)  # type: ignore[arg-type]


def test_numbers_of_layers() -> None:
    assert [layer_count(k) for k in (1, 40, "7", "auto")] == [1, 40, 7, None]


def test_the_package_offers_what_it_says() -> None:
    for name in sss.__all__:
        assert getattr(sss, name) is not None
    assert set(sss.__all__) <= set(dir(sss))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        sss.nonsense  # noqa: B018


def test_load_is_done_before_the_first_photo(photo: np.ndarray, embedding: np.ndarray) -> None:
    splitter = sss.Splitter(device="cpu")
    assert splitter.load() is splitter
    assert splitter.predictor.dim == 64
    with pytest.raises(InputError, match=r"no checkpoint at nowhere\.safetensors"):
        sss.Splitter("nowhere.safetensors").load()
    given = sss.Splitter("nowhere.safetensors", device="cpu", settings=QUICK).load(network=False)
    assert given.prepare(photo, embedding).components.n_components > 1
