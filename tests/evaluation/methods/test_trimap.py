import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.sparse.linalg import spsolve

from sss.data.alphamatting import AlphaMatting
from sss.errors import InputError
from sss.evaluation.methods.base import Case, Method, Segmentation
from sss.evaluation.methods.trimap import CLOSED_FORM, KNN
from sss.metrics.mattes import TrueMatte
from sss.metrics.samples import Matte
from sss.spectral.laplacian import matting_laplacian

NAMES = ("closed-form", "knn")
METHODS = {"closed-form": CLOSED_FORM, "knn": KNN}


def blend(seed: int = 0, size: tuple[int, int] = (36, 44)) -> tuple[np.ndarray, Matte]:
    """A soft disc of one colour over another, and its matte."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    distance = np.hypot(rows - size[0] / 2, columns - size[1] / 2)
    alpha = np.clip((size[0] / 3 - distance) / 6 + 0.5, 0, 1)
    rng = np.random.default_rng(seed)
    front, back = np.array([0.8, 0.3, 0.2]), np.array([0.1, 0.3, 0.7])
    photo = alpha[..., None] * front + (1 - alpha[..., None]) * back
    photo += rng.normal(0, 0.004, photo.shape)
    trimap = np.where(alpha == 0, 0, np.where(alpha == 1, 255, 128)).astype(np.uint8)
    return np.clip(photo, 0, 1), Matte(alpha.astype(np.float32), trimap)


def only(name: str, case: Case) -> Segmentation:
    method: Method = METHODS[name]
    results = list(method.segment(case))
    assert len(results) == len(method.scales) == 1
    return results[0]


@pytest.mark.parametrize("name", NAMES)
def test_one_matte_gives_object_and_rest(name: str) -> None:
    photo, matte = blend()
    result = only(name, Case(photo, mattes=(matte,)))
    assert result.alpha is not None
    assert result.alpha.shape == (*photo.shape[:2], 2)
    assert result.alpha.dtype == np.float32
    np.testing.assert_allclose(result.alpha.sum(axis=-1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(result.labels, result.alpha.argmax(axis=-1))
    assert (result.alpha[matte.trimap == 255, 0] == 1).all()
    assert (result.alpha[matte.trimap == 0, 0] == 0).all()
    # Two plain colours leave no doubt.
    assert abs(result.alpha[..., 0] - matte.alpha).mean() < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_several_mattes_give_a_layer_each(name: str) -> None:
    photo, matte = blend()
    rest = Matte(1 - matte.alpha, np.where(matte.trimap == 128, 128, 255 - matte.trimap))
    half = Matte(matte.alpha, np.where(np.arange(44) < 22, 0, matte.trimap).astype(np.uint8))
    result = only(name, Case(photo, mattes=(matte, rest, half)))
    assert result.alpha is not None
    assert result.alpha.shape == (*photo.shape[:2], 3)
    for layer, known in enumerate((matte, rest, half)):
        expected = METHODS[name].estimate_alpha(photo, known.trimap)
        np.testing.assert_allclose(result.alpha[..., layer], expected, atol=1e-6)
    assert abs(result.alpha[..., 1] - rest.alpha).mean() < 0.02


def test_closed_form_solves_its_equations() -> None:
    """On the unknown pixels L α = 0, with the project's own matting Laplacian."""
    photo, matte = blend(1)
    laplacian = matting_laplacian(photo).tocsr()
    unknown = (matte.trimap == 128).ravel()
    known = np.where(matte.trimap == 255, 1.0, 0.0).ravel()
    expected = known.copy()
    expected[unknown] = spsolve(
        laplacian[unknown][:, unknown].tocsc(), -(laplacian[unknown][:, ~unknown] @ known[~unknown])
    )
    alpha = CLOSED_FORM.estimate_alpha(photo, matte.trimap).ravel()
    np.testing.assert_allclose(alpha, np.clip(expected, 0, 1), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("missing", [0, 128, 255])
def test_trimaps_that_tell_nothing(name: str, missing: int) -> None:
    photo, matte = blend()
    trimap = np.where(matte.trimap == missing, 128 if missing != 128 else 0, matte.trimap)
    alpha = METHODS[name].estimate_alpha(photo, trimap.astype(np.uint8))
    expected = np.select([trimap == 0, trimap == 128], [0.0, 0.5], 1.0)
    np.testing.assert_array_equal(alpha, expected)


def test_photos_without_mattes_are_refused() -> None:
    photo, _ = blend()
    with pytest.raises(InputError, match=r"'knn' needs true mattes .* alphamatting or scenes"):
        next(KNN.segment(Case(photo)))


def test_what_the_library_prints_and_warns_is_kept_away(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def loud(_photo: np.ndarray, trimap: np.ndarray, **_: object) -> np.ndarray:
        warnings.warn("about my own needs", stacklevel=2)
        print("PERFORMANCE\nWARNING")
        return trimap

    monkeypatch.setattr("pymatting.estimate_alpha_cf", loud)
    photo, matte = blend()
    with caplog.at_level(logging.DEBUG, logger="sss"):
        only("closed-form", Case(photo, mattes=(matte,)))
    assert capsys.readouterr() == ("", "")
    assert "closed-form: PERFORMANCE WARNING" in caplog.text


def test_a_solver_that_fails_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise ValueError("did not converge\nwithin 10000")

    monkeypatch.setattr("pymatting.estimate_alpha_knn", failing)
    photo, matte = blend()
    with pytest.raises(InputError, match=r"no solution \(did not converge within 10000\)"):
        KNN.estimate_alpha(photo, matte.trimap)


def shrunk(pixels: np.ndarray, factor: int, how: Image.Resampling) -> np.ndarray:
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((image.width // factor, image.height // factor), how))


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.parametrize("name", NAMES)
def test_a_real_matte_is_found_far_better_than_by_a_guess(reference: Path, name: str) -> None:
    for index in (0, 5):
        photo, alpha, trimap = AlphaMatting(reference / "alphamatting_dev")[index]
        photo = shrunk(photo, 4, Image.Resampling.BOX) / 255.0
        alpha = shrunk(np.rint(alpha * 255).astype(np.uint8), 4, Image.Resampling.BOX) / 255.0
        trimap = shrunk(trimap, 4, Image.Resampling.NEAREST)
        truth = TrueMatte(Matte(alpha.astype(np.float32), trimap))
        result = only(name, Case(photo, mattes=(Matte(alpha.astype(np.float32), trimap),)))
        assert result.alpha is not None
        found = truth.errors(result.alpha[..., 0])
        known = np.where(trimap == 128, 0.5, trimap / 255.0)
        for guess in (known, gaussian_filter(known, 5.0)):
            errors = truth.errors(guess)
            for metric in ("matte_sad_unknown", "matte_mse_unknown", "matte_gradient_unknown"):
                assert found[metric] < 0.5 * errors[metric], (index, metric)
