import hashlib
import os
import stat
from pathlib import Path

import pytest

from sss.errors import InputError, one_line
from sss.files import file_sha256, whole_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "table.csv"
    with whole_file(target) as partial:
        partial.write_text("half")
        assert not target.exists()
        assert partial.parent == target.parent  # on the same disk: the rename is atomic
        assert partial.suffix == ".csv"
        partial.write_text("whole")
    assert target.read_text() == "whole"
    assert names(target.parent) == ["table.csv"]


def test_an_old_file_is_replaced_at_once(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with whole_file(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with whole_file(target) as partial:
            partial.write_text("new")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_an_input_error(tmp_path: Path) -> None:
    message = r"cannot write .*a\.txt: No space left"
    with pytest.raises(InputError, match=message), whole_file(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


def test_a_writer_that_does_not_say_why(tmp_path: Path) -> None:
    message = r"a\.npy: is the disk full\? \(90 requested and 10 written\); make room"
    with pytest.raises(InputError, match=message), whole_file(tmp_path / "a.npy"):
        raise OSError("90 requested and 10 written\n")  # as numpy does


def test_input_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="my own"), whole_file(tmp_path / "a.txt"):
        raise InputError("my own")
    assert names(tmp_path) == []


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file" / "a.txt", tmp_path / "file" / "deep" / "a.txt"):
        message = r"cannot write .*a\.txt.*another place"
        with pytest.raises(InputError, match=message), whole_file(target):
            pytest.fail("the block must not run")
    assert names(tmp_path) == ["file"]


def test_a_target_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*out"), whole_file(tmp_path / "out") as p:
        p.write_text("content")
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_usual_permissions(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with whole_file(tmp_path / "a.txt") as partial:
            partial.write_text("")
        assert os.umask(umask) == umask  # and the process keeps its own
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with whole_file(target) as first, whole_file(target) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first"  # the last to finish
    assert names(tmp_path) == ["a.txt"]


def test_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    with pytest.raises(InputError, match=r"cannot read .*nothing"):
        file_sha256(tmp_path / "nothing")


def test_what_libraries_quote_is_cut_short() -> None:
    assert one_line(ValueError("short\nand plain")) == "short and plain"
    assert one_line(ValueError()) == "ValueError"
    quoted = one_line("File name in directory " + "0" * 9000 + " differs")
    assert len(quoted) < 310
    assert quoted.startswith("File name in directory")
