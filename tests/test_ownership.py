import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import sss.ownership
from sss.errors import InputError
from sss.ownership import LOCK_FILE, new_folder, owned

REPOSITORY = Path(__file__).parents[1]

HOLD = """
import os, sys, time
from pathlib import Path
from sss.ownership import owned
with owned(Path(sys.argv[1])):
    if sys.argv[2:] == ["fork"] and os.fork() == 0:
        time.sleep(100)
    print("held", flush=True)
    time.sleep(100)
"""


def hold(folder: Path, *more: str) -> subprocess.Popen:
    """Another process that owns the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder, *more],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def left_by(folder: Path, pid: int, host: str, boot: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    owner = {"pid": pid, "host": host, "boot": boot, "since": "yesterday"}
    (folder / LOCK_FILE).write_text(json.dumps(owner))


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught, owned(folder):
        pytest.fail("the block must not run")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_owner_at_a_time_who_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    other = hold(folder)
    try:
        said = refusal(folder)
        assert f"{folder} belongs to process {other.pid} on {socket.gethostname()}, since 2" in said
        assert "choose another folder" in said
        with owned(tmp_path / "other"):
            pass
    finally:
        end(other)


def test_the_folder_of_a_killed_owner_is_taken_over(tmp_path: Path) -> None:
    end(hold(tmp_path))
    assert (tmp_path / LOCK_FILE).exists()
    with owned(tmp_path):
        text = (tmp_path / LOCK_FILE).read_text()
        assert json.loads(text)["pid"] == os.getpid()
    assert not (tmp_path / LOCK_FILE).exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_what_a_killed_owner_forked_does_not_own(tmp_path: Path) -> None:
    other = hold(tmp_path, "fork")
    try:
        other.kill()
        other.wait()
        with owned(tmp_path):
            pass
    finally:
        end(other)


def test_a_number_that_another_process_has_got_since_does_not_matter(tmp_path: Path) -> None:
    left_by(tmp_path, os.getppid(), socket.gethostname())
    with owned(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_file_without_an_owner_is_taken_over(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK_FILE).write_text(text)
    with owned(tmp_path):
        pass


def test_another_machine_cannot_be_asked(tmp_path: Path) -> None:
    left_by(tmp_path, 7, "elsewhere", boot="another")
    said = refusal(tmp_path)
    assert "process 7 on elsewhere, since yesterday" in said
    assert f"remove {tmp_path / LOCK_FILE}" in said
    (tmp_path / LOCK_FILE).unlink()
    with owned(tmp_path):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_container_of_this_machine_is_no_other_machine(tmp_path: Path) -> None:
    left_by(tmp_path, 1, "f3a1", Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with owned(tmp_path):
        pass


def test_file_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(sss.ownership.fcntl, "flock", no_locks)
    with owned(tmp_path):
        assert "which is at work" not in refusal(tmp_path)
        assert f"remove {tmp_path / LOCK_FILE}" in refusal(tmp_path)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left_by(tmp_path, gone.pid, socket.gethostname())
    with owned(tmp_path):
        pass
    left_by(tmp_path, gone.pid, "elsewhere", boot="another")
    assert "elsewhere" in refusal(tmp_path)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_let_go_when_an_exception_passes(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), owned(tmp_path):
        raise error
    assert list(tmp_path.iterdir()) == []
    with owned(tmp_path):
        pass


def test_folders_made_in_vain_are_removed(tmp_path: Path) -> None:
    with owned(tmp_path / "a" / "b"):
        (tmp_path / "a" / "file").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "file"]
    (tmp_path / "c").mkdir()
    with owned(tmp_path / "c"):  # was there before
        pass
    assert (tmp_path / "c").is_dir()


def test_the_folder_may_vanish(tmp_path: Path) -> None:
    with owned(tmp_path / "a"):
        (tmp_path / "a" / LOCK_FILE).unlink()
        (tmp_path / "a").rmdir()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot write to" in refusal(tmp_path / "file" / "a")
    assert "File name too long" in refusal(tmp_path / ("x" * 300))


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    assert "No space left" in refusal(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


COUNT = """
import sys, time
from pathlib import Path
from sss.errors import InputError
from sss.ownership import owned
folder, inside = map(Path, sys.argv[1:])
done = 0
while done < 100:
    try:
        with owned(folder):
            inside.mkdir()  # fails beside another
            inside.rmdir()
            done += 1
    except InputError:
        time.sleep(0.0005)
"""


def test_never_two_inside(tmp_path: Path) -> None:
    """The file, and here the folder too, come and go while others open them."""
    folder, inside = tmp_path / "a" / "b", tmp_path / "inside"
    line = [sys.executable, "-c", COUNT, folder, inside]
    others = [subprocess.Popen(line, cwd=REPOSITORY) for _ in range(3)]
    assert [other.wait() for other in others] == [0, 0, 0]
    assert not (folder / LOCK_FILE).exists()


def test_new_folders_of_many_at_once(tmp_path: Path) -> None:
    made: list[Path] = []
    threads = [
        threading.Thread(target=lambda: made.append(new_folder(tmp_path / "runs", "unet")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {path.name for path in made}
    assert names == {"unet", *(f"unet-{number}" for number in range(2, 9))}
    assert all(path.is_dir() for path in made)


def test_a_new_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file is a file; choose another"):
        new_folder(tmp_path / "file", "unet")
    with pytest.raises(InputError, match=r"cannot make .*File name too long"):
        new_folder(tmp_path, "x" * 300)
    assert re.fullmatch(r"file-2", new_folder(tmp_path, "file").name)
