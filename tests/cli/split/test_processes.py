"""Many photos at once: processes of infer.py that share the work, die and are started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from sss.threads import thread_count

REPOSITORY = Path(__file__).parents[2]
NAMES = [f"{letter}.png" for letter in "abcdefg"]

QUICK = """
import os, signal, sys, time, types
from pathlib import Path
sys.path.insert(0, {repository!r})
import infer
sys.modules["sss.spectral.segmenter"] = types.ModuleType("sss.spectral.segmenter")  # slow to import
segmenter = sys.modules["sss.spectral.segmenter"]
segmenter.SoftLayers = segmenter.SoftSegmenter = None
import sss.cli.photo_worker as worker
from sss.cli.common import run_main
from sss.errors import InputError
from sss.files import whole_file
from sss.processes import end_process
from sss.threads import thread_count

MARKS = Path(__file__).parent

def start(self, options):
    self.options = options

def do_photo(self, photo, folder, startup_seconds, progress):
    line = f"{{photo.name}} {{os.environ.get('RANK')}} {{os.getpid()}} {{thread_count()}}\\n"
    with open(MARKS / "log", "a") as log:
        log.write(line)
    if (MARKS / f"fail-{{photo.name}}").exists():
        raise InputError("the lens cap was on")
    with whole_file(folder / "report.json") as partial:
        partial.write_text(line)
        if (MARKS / f"kill-{{photo.name}}").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if (MARKS / f"once-{{photo.name}}").exists():
            (MARKS / f"once-{{photo.name}}").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if (MARKS / f"sleep-{{photo.name}}").exists():
            (MARKS / f"asleep-{{photo.name}}").touch()
            time.sleep(100)
        if (MARKS / f"meet-{{photo.name}}").exists():
            (MARKS / f"met-{{photo.name}}").touch()
            end = time.monotonic() + 50
            while len(list(MARKS.glob("met-*"))) < 2:
                if time.monotonic() > end:
                    raise InputError("alone")
                time.sleep(0.01)
        time.sleep(0.02)
    return "done"

worker.PhotoWorker.__init__ = start
worker.PhotoWorker.do_photo = do_photo

if __name__ == "__main__":
    end_process(run_main(infer.main))
"""
"""infer.py with nothing but its handling of photos and processes; files called like a photo say
what happens to it."""


class Batch:
    """Starts infer.py on a folder of photos, writing to ``out``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.marks = folder / "marks"
        self.started: list[subprocess.Popen] = []
        self.marks.mkdir()
        (self.marks / "quick.py").write_text(QUICK.format(repository=str(REPOSITORY)))
        (folder / "photos").mkdir()
        for name in NAMES:
            Image.new("RGB", (20, 20)).save(folder / "photos" / name)

    def start(self, *options: object, before: tuple[str, ...] = ()) -> subprocess.Popen:
        line = [*before, self.marks / "quick.py", self.folder / "photos", "-o", self.out, *options]
        process = subprocess.Popen(
            [sys.executable, *map(str, line)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def torchrun(self, *launch: object) -> subprocess.Popen:
        launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
        return self.start(before=(*launcher, *map(str, launch)))

    def mark(self, what: str) -> None:
        (self.marks / what).touch()

    @property
    def log(self) -> list[list[str]]:
        """Name of the photo, rank, process and its threads, for each photo that was begun."""
        return [line.split() for line in (self.marks / "log").read_text().splitlines()]

    @property
    def begun(self) -> list[str]:
        return [line[0] for line in self.log]

    @property
    def done(self) -> list[str]:
        return sorted(f"{path.parent.name}.png" for path in self.out.glob("*/report.json"))

    @property
    def partial(self) -> list[Path]:
        return list(self.out.glob("*/.partial-*"))


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Batch]:
    batch = Batch(tmp_path)
    yield batch
    for process in batch.started:
        with suppress(ProcessLookupError):  # all are gone, as it should be
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finished(process: subprocess.Popen, code: int) -> list[str]:
    """Lines on stderr of a call that ends with ``code``."""
    _, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return err.splitlines()


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("error: ")]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process is at work; one that is dead but not waited for is not."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


# --- torchrun -------------------------------------------------------------------------------------


def test_torchrun_splits_the_photos_and_one_failure_stops_nobody(batch: Batch) -> None:
    batch.mark("fail-b.png")
    lines = finished(batch.torchrun(), 1)  # torchrun's own code for any that its processes give
    assert sorted(batch.begun) == NAMES
    assert batch.done == [name for name in NAMES if name != "b.png"]
    ranks = {rank: [line[0] for line in batch.log if line[1] == rank] for rank in "01"}
    assert ranks == {"0": NAMES[::2], "1": NAMES[1::2]}
    assert {line[3] for line in batch.log} == {str(max(1, thread_count() // 2))}
    assert errors(lines) == [f"error: {batch.folder / 'photos' / 'b.png'}: the lens cap was on"]
    assert lines.count("1 of 7 photos could not be done") == 1


def test_torchrun_starts_a_killed_process_again_and_the_work_goes_on(batch: Batch) -> None:
    batch.mark("once-d.png")
    finished(batch.torchrun("--max-restarts", 1), 0)
    assert batch.done == NAMES
    assert batch.partial == []
    # Only what was at work when it happened is begun twice: one photo of each process.
    again = [name for name in NAMES if batch.begun.count(name) == 2]
    assert "d.png" in again
    assert len(again) <= 2
    assert len(batch.begun) == len(NAMES) + len(again)


def test_a_share_stays_the_same_while_others_work(batch: Batch, monkeypatch) -> None:
    """A process that starts later, when photos are done, must not take other processes' photos."""
    from sss.cli.batch import _still_to_do, find_photos

    from sss.cli.split_options import parse_options
    from sss.distributed import Share

    options = parse_options([str(batch.folder / "photos"), "-o", str(batch.out)])
    photos = find_photos(options.photos)
    for name in ("a", "b", "e"):
        (batch.out / name).mkdir(parents=True)
        (batch.out / name / "report.json").write_text("{}")
    shares = [_still_to_do(photos, options, Share(rank, 2))[0] for rank in range(2)]
    names = [[photo.name for photo, _ in share] for share in shares]
    assert names == [["c.png", "g.png"], ["d.png", "f.png"]]


# --- signals and deaths ---------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_sigterm_leaves_whole_results_only(batch: Batch, jobs: int) -> None:
    batch.mark("sleep-c.png")
    process = batch.start("-j", jobs)
    wait_until(lambda: (batch.marks / "asleep-c.png").exists())
    assert batch.partial
    process.send_signal(signal.SIGTERM)
    lines = finished(process, 130)
    assert lines[-1] == "stopped"
    assert batch.partial == []
    assert "a.png" in batch.done
    assert "c.png" not in batch.done
    assert not any(alive(int(line[2])) for line in batch.log)


def test_processes_end_when_the_one_that_gives_them_work_was_killed(batch: Batch) -> None:
    batch.mark("sleep-c.png")
    process = batch.start("-j", 2)
    wait_until(lambda: (batch.marks / "asleep-c.png").exists())
    process.kill()
    process.wait()
    wait_until(lambda: not any(alive(int(line[2])) for line in batch.log), 20)
    (batch.marks / "sleep-c.png").unlink()
    finished(batch.start(), 0)
    assert batch.done == NAMES
    assert batch.partial == []  # what the killed ones left


def test_photos_go_on_side_by_side_after_one_is_killed(batch: Batch) -> None:
    batch.mark("kill-b.png")
    for name in ("f", "g"):  # neither is done before the other was begun
        batch.mark(f"meet-{name}.png")
    lines = finished(batch.start("-j", 2), 2)
    assert errors(lines) == [
        f"error: {batch.folder / 'photos' / 'b.png'}: its process was killed, most likely for "
        "lack of memory; give a smaller --max-side"
    ]
    assert batch.done == [name for name in NAMES if name != "b.png"]
    assert batch.partial == []
    assert batch.begun.count("b.png") == 2
    assert len({line[2] for line in batch.log if line[0] in ("f.png", "g.png")}) == 2
    assert {line[3] for line in batch.log} == {str(max(1, thread_count() // 2))}


def test_all_done_needs_none_of_the_large_libraries(batch: Batch) -> None:
    for name in NAMES:
        folder = batch.out / name.removesuffix(".png")
        folder.mkdir(parents=True)
        photo = batch.folder / "photos" / name
        (folder / "report.json").write_text(json.dumps({"photo": str(photo)}))
    loaded = subprocess.run(
        [
            *(sys.executable, "-c", "import sys, infer; infer.main(); print(*sys.modules)"),
            *(batch.folder / "photos", "-o", batch.out, "-j", "2"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "PIL" in loaded
    large = {"scipy", "sklearn", "skimage", "numba", "pymatting", "cv2", "torch", "matplotlib"}
    assert large.isdisjoint(loaded)


def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch) -> None:
    import torch

    from sss.cli.photo_worker import take_own_gpu

    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    take_own_gpu()
    assert taken == []  # the current one
    places = {"RANK": "9", "WORLD_SIZE": "10", "LOCAL_WORLD_SIZE": "5"}
    for name, value in places.items():
        monkeypatch.setenv(name, value)
    for rank in range(5):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        take_own_gpu()
    assert taken == [0, 1, 2, 0, 1]
