import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

from sss.errors import InputError
from sss.matlab import load_matlab

CELLS = np.empty((1, 2), object)
CELLS[0, 0] = {"Segmentation": np.arange(12, dtype=np.uint16).reshape(3, 4), "Name": "one"}
CELLS[0, 1] = {"Segmentation": np.eye(3) > 0, "Name": ""}
CONTENT = {
    "cells": CELLS,
    "words": np.arange(6, dtype=np.int16).reshape(1, 2, 3),
    "numbers": np.array([[1.5, -2.5j]]),
    "nothing": np.zeros((0, 3)),
    "text": "ab",
}


def stored(content: dict[str, object], compressed: bool = False) -> bytes:
    out = io.BytesIO()
    savemat(out, content, do_compression=compressed)
    return out.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_what_scipy_reads(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "f.mat"
    path.write_bytes(stored(CONTENT, compressed))
    found, expected = load_matlab(path), loadmat(path)
    assert set(found) == set(CONTENT)
    for name in ("words", "numbers", "nothing", "text"):
        np.testing.assert_array_equal(found[name], expected[name], strict=True)
    for k in range(2):
        for field in ("Segmentation", "Name"):
            one, other = (values["cells"][0, k][field][0, 0] for values in (found, expected))
            np.testing.assert_array_equal(one, other, strict=True)


def test_other_variables_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "f.mat"
    path.write_bytes(stored({"sparse": csc_matrix(np.eye(3)), "plain": np.eye(2)}))
    assert list(load_matlab(path)) == ["plain"]


def test_type_that_crashes_scipy(tmp_path: Path) -> None:
    path = tmp_path / "f.mat"
    whole = stored({"a": np.zeros((2, 3))})
    at = whole.rindex(struct.pack("<II", 9, 48))  # the tag of the numbers: doubles, 48 bytes
    path.write_bytes(whole[:at] + struct.pack("<I", 8) + whole[at + 4 :])
    with pytest.raises(InputError, match=r"f\.mat is damaged or cut off"):
        load_matlab(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_cut_off_anywhere(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "f.mat"
    whole = stored({"a": np.arange(9.0), "b": "text"}, compressed)
    for end in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:end])
        try:
            assert set(load_matlab(path)) <= {"a"}
        except InputError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017


def test_large_ones_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "f.mat"
    header = stored({})[:128]
    for level in (1, 2):  # the second in disguise: a bomb says a small size of itself
        packed = zlib.compress(struct.pack("<II", 14, 100 if level == 2 else 2**21) + bytes(2**21))
        path.write_bytes(header + struct.pack("<II", 15, len(packed)) + packed)
        with pytest.raises(InputError, match="unpacks to more than 1 MiB"):
            load_matlab(path, 2**20)
    path.write_bytes(stored({"a": np.zeros(2**18)}))
    with pytest.raises(InputError, match="holds more than 1 MiB"):
        load_matlab(path, 2**20)


def test_other_levels_are_named(tmp_path: Path) -> None:
    path = tmp_path / "f.mat"
    savemat(path, {"a": np.eye(2)}, format="4")
    with pytest.raises(InputError, match="not a MATLAB file of version 5 to 7; save it with '-v7'"):
        load_matlab(path)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(InputError, match=r"version 7\.3; save it with '-v7'"):
        load_matlab(path)
    with pytest.raises(InputError, match=r"cannot read .*: No such file"):
        load_matlab(tmp_path / "missing.mat")
