import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix

import sss.numpy_files
from sss.errors import InputError
from sss.models.feature_files import read_embedding
from sss.models.reduction import prepare_embedding


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(18, 20, 6)).astype(np.float32)


def refused(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(InputError) as error:
        read_embedding(path)
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    return text


# --- what is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".NPY"])
def test_arrays_come_back(tmp_path: Path, features: np.ndarray, suffix: str, dtype: type) -> None:
    path = tmp_path / f"f{suffix}"
    given = features.astype(dtype)
    if suffix == ".mat":
        savemat(path, {"only": given.astype(np.float64)})  # MATLAB knows no half precision
    elif suffix == ".npz":
        np.savez(path, only=given)
    else:
        with path.open("wb") as file:
            np.save(file, given)
    result = read_embedding(path)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, given.astype(np.float32))


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_embedmap_is_taken_from_several(tmp_path: Path, features: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    arrays = {"a_first": features[..., :1], "embedmap": features, "z_last": features[:3]}
    if suffix == ".mat":
        savemat(path, arrays)
    else:
        np.savez_compressed(path, **arrays)
    np.testing.assert_array_equal(read_embedding(path), features)


def test_other_entries_do_not_matter(tmp_path: Path, features: np.ndarray) -> None:
    path = tmp_path / "f.npz"
    np.savez(path, embedmap=features, notes=np.array([{"any": "object"}], dtype=object))
    np.testing.assert_array_equal(read_embedding(path), features)


def test_content_decides_between_npy_and_npz(tmp_path: Path, features: np.ndarray) -> None:
    with (tmp_path / "f.npy").open("wb") as file:
        np.savez(file, features)
    with (tmp_path / "f.npz").open("wb") as file:
        np.save(file, features)
    np.testing.assert_array_equal(read_embedding(tmp_path / "f.npy"), features)
    np.testing.assert_array_equal(read_embedding(tmp_path / "f.npz"), features)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_whole_numbers_and_one_channel(tmp_path: Path, dtype: type) -> None:
    labels = (np.arange(360).reshape(18, 20) % 7).astype(dtype)
    np.save(tmp_path / "labels.npy", labels)
    result = read_embedding(tmp_path / "labels.npy")
    assert result.shape == (18, 20, 1)
    np.testing.assert_array_equal(result[..., 0], labels)


def test_images_are_features_in_the_unit_range(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (18, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "f.png")
    np.testing.assert_allclose(read_embedding(tmp_path / "f.png"), pixels / 255, atol=1e-6)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_several_arrays_without_embedmap(tmp_path: Path, features: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    arrays = {"left": features, "right": features}
    if suffix == ".mat":
        savemat(path, arrays)
    else:
        np.savez(path, **arrays)
    assert refused(path).endswith("2 arrays (left, right); expected one, or one called embedmap")


def test_archives_without_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz")
    savemat(tmp_path / "f.mat", {})
    for suffix in (".npz", ".mat"):
        assert "holds 0 arrays; expected one" in refused(tmp_path / f"f{suffix}")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".png", ".jpg"])
@pytest.mark.parametrize("content", [b"", b"these are no features\n" * 20], ids=["empty", "text"])
def test_files_that_are_not_what_they_are_called(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"f{suffix}"
    path.write_bytes(content)
    assert "pickle" not in refused(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat"])
def test_files_cut_off(tmp_path: Path, features: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    if suffix == ".mat":
        savemat(path, {"embedmap": features})
    elif suffix == ".npz":
        np.savez(path, embedmap=features)
    else:
        np.save(path, features)
    path.write_bytes(path.read_bytes()[:900])
    assert re.search("cannot read an embedding from|is damaged or cut off", refused(path))


def test_pickled_objects_are_not_run(tmp_path: Path, features: np.ndarray) -> None:
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    objects = np.empty((18, 20, 1), dtype=object)
    objects[0, 0, 0] = Bomb()
    np.save(tmp_path / "f.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "f.npz", embedmap=objects)
    refused(tmp_path / "f.npy")
    refused(tmp_path / "f.npz")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("array", "shown"),
    [
        (np.zeros(360), "float64 of 360"),
        (np.zeros((1, 18, 20, 3)), "float64 of 1×18×20×3"),
        (np.float32(3), "float32 of a single value"),
        (np.zeros((18, 20, 0)), "float64 of 18×20×0"),
        (np.zeros((18, 20, 4), complex), "complex128 of 18×20×4"),
        (np.full((18, 20, 4), "red"), "<U3 of 18×20×4"),
    ],
)
def test_arrays_of_another_kind(tmp_path: Path, array: np.ndarray, shown: str) -> None:
    np.save(tmp_path / "f.npy", array)
    assert refused(tmp_path / "f.npy").endswith(f"holds {shown}, expected numbers of H×W×D")


def test_matlab_values_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "f.mat"
    savemat(path, {"embedmap": csc_matrix(np.eye(18))})
    assert "holds 0 arrays" in refused(path)
    savemat(path, {"embedmap": {"field": np.zeros(3)}})
    assert "expected numbers of H×W×D" in refused(path)


def test_new_matlab_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.mat"
    header = b"MATLAB 7.3 MAT-file".ljust(124, b" ") + b"\x00\x02IM"
    path.write_bytes(header.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n" + bytes(64))
    assert "version 7.3; save it with '-v7'" in refused(path)


def test_missing_folders_and_unknown_kinds(tmp_path: Path) -> None:
    assert "no embedding at" in refused(tmp_path / "none.npy")
    assert "no embedding at" in refused(tmp_path)
    (tmp_path / "f.csv").write_text("1,2,3\n")
    assert "give a .npy, .npz, .mat or image file" in refused(tmp_path / "f.csv")


def test_numbers_beyond_single_precision_are_refused_later(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.full((18, 20, 4), 1e200))
    with pytest.raises(InputError, match="infinite"):
        prepare_embedding(read_embedding(tmp_path / "f.npy"), np.zeros((18, 20, 3)))


def huge_header(shape: tuple[int, ...]) -> bytes:
    """The start of a .npy file that tells of an array of doubles."""
    file = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


@pytest.mark.parametrize("shape", [(10**6, 10**6, 64), (20, 20, -5), (2**40, 2**40, 2**40)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_headers_that_tell_of_more_than_there_is(
    tmp_path: Path, suffix: str, shape: tuple[int, ...]
) -> None:
    path = tmp_path / f"f{suffix}"
    content = huge_header(shape) + bytes(1000)
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("embedmap.npy", content)
    else:
        path.write_bytes(content)
    assert f"float64 of {shape} in {len(content)} bytes" in refused(path)


def test_archives_that_unpack_to_very_much(tmp_path: Path, monkeypatch, features) -> None:
    monkeypatch.setattr(sss.numpy_files, "MOST_UNPACKED", 1 << 20)
    zeros = np.zeros((256, 256, 8))
    np.savez_compressed(tmp_path / "f.npz", zeros)
    assert "f.npz unpacks to more than 1 MiB; save the array with" in refused(tmp_path / "f.npz")
    np.savez(tmp_path / "f.npz", zeros)  # as large on the disk
    assert read_embedding(tmp_path / "f.npz").shape == zeros.shape
    np.savez_compressed(tmp_path / "f.npz", embedmap=features, other=zeros)
    np.testing.assert_array_equal(read_embedding(tmp_path / "f.npz"), features)
