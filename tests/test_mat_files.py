import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from sss.errors import InputError
from sss.mat_files import check_unpacked_size


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_within_its_size(tmp_path: Path, compressed: bool) -> None:
    arrays = {"a": np.arange(5000.0), "b": np.zeros((300, 300), np.uint8)}
    savemat(tmp_path / "a.mat", arrays, do_compression=compressed)
    check_unpacked_size(tmp_path / "a.mat", most=140_000)  # 130 000 bytes of numbers
    assert loadmat(tmp_path / "a.mat")["b"].shape == (300, 300)


def test_bombs(tmp_path: Path) -> None:
    for count in (1, 3):  # the parts together count
        zeros = {f"a{k}": np.zeros(3_000_000 // count, np.uint8) for k in range(count)}
        savemat(tmp_path / "a.mat", zeros, do_compression=True)
        assert (tmp_path / "a.mat").stat().st_size < 20_000
        check_unpacked_size(tmp_path / "a.mat", most=3_010_000)
        with pytest.raises(InputError, match=r"a\.mat unpacks to more than 2 MiB"):
            check_unpacked_size(tmp_path / "a.mat", most=2_900_000)


def test_what_is_no_such_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    for content in (b"", b"\x89HDF", b"x" * 300):
        path.write_bytes(content)
        check_unpacked_size(path, most=1)
    savemat(path, {"a": np.zeros(9)}, do_compression=True)
    path.write_bytes(path.read_bytes()[:136] + b"damaged")
    with pytest.raises(zlib.error):
        check_unpacked_size(path, most=10**6)
