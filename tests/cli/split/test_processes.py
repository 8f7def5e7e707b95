"""Many photos at once: processes of infer.py that divide the work, die and are started again."""

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

from sss.cli.split import still_to_do
from sss.cli.split_options import parse_options
from sss.distributed import Rank
from sss.image.reading import find_photos
from sss.threads import thread_count

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
SCRIPTED = Path(__file__).with_name("scripted.py")
NAMES = [f"{letter}.png" for letter in "abcdefg"]


class Batch:
    """Starts infer.py, with a worker that obeys to marks, on photos; writes to ``out``."""

    def __init__(self, folder: Path) -> None:
        self.photos = folder / "photos"
        self.out = folder / "out"
        self.marks = folder / "marks"
        self.started: list[subprocess.Popen] = []
        self.marks.mkdir()
        self.photos.mkdir()
        for name in NAMES:
            Image.new("RGB", (20, 20)).save(self.photos / name)

    def start(
        self, *options: object, before: tuple[str, ...] = (), script: Path = SCRIPTED
    ) -> subprocess.Popen:
        line = [*before, script, self.photos, "-o", self.out, *options]
        process = subprocess.Popen(
            [sys.executable, *map(str, line)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "MARKS": str(self.marks)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # so that a signal reaches it and its processes only
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
    _, err = process.communicate(timeout=200)
    assert process.returncode == code, err
    assert "Traceback" not in err or "torch/distributed" in err  # torchrun's own, of a failure
    assert "a library is worried" not in err
    return err.splitlines()


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("error: ")]


def wait_until(condition: Callable[[], bool], seconds: float = 100) -> None:
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


@pytest.mark.slow
def test_torchrun_splits_the_photos_and_one_failure_stops_nobody(batch: Batch) -> None:
    batch.mark("fail-b.png")
    lines = finished(batch.torchrun(), 1)  # torchrun's own code for any that its processes give
    assert sorted(batch.begun) == NAMES
    assert batch.done == [name for name in NAMES if name != "b.png"]
    ranks = {rank: [line[0] for line in batch.log if line[1] == rank] for rank in "01"}
    assert ranks == {"0": NAMES[::2], "1": NAMES[1::2]}
    assert {line[3] for line in batch.log} == {str(max(1, thread_count() // 2))}
    assert errors(lines) == [f"error: {batch.photos / 'b.png'}: the lens cap was on"]
    assert lines.count("1 of 7 photos could not be done") == 1


@pytest.mark.slow
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


def test_a_rank_s_part_stays_the_same_while_others_work(batch: Batch) -> None:
    """A process that starts later, when photos are done, must not take other processes' photos."""
    options = parse_options([str(batch.photos), "-o", str(batch.out)])
    photos = find_photos(options.photos)
    for name in ("a", "b", "e"):
        (batch.out / name).mkdir(parents=True)
        (batch.out / name / "report.json").write_text("{}")
    parts = [still_to_do(photos, options, Rank(number, 2))[0] for number in range(2)]
    names = [[photo.name for photo, _ in part] for part in parts]
    assert names == [["c.png", "g.png"], ["d.png", "f.png"]]


# --- signals and deaths ---------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_stopped_from_outside_only_whole_results_stay(
    batch: Batch, jobs: int, sent: signal.Signals
) -> None:
    batch.mark("sleep-c.png")
    process = batch.start("-j", jobs)
    wait_until(lambda: (batch.marks / "asleep-c.png").exists())
    assert batch.partial
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal does: to all of its processes
    else:
        process.send_signal(sent)
    lines = finished(process, 130)
    assert lines[-1] == "stopped"
    assert batch.partial == []
    assert "a.png" in batch.done
    assert "c.png" not in batch.done
    assert not any(alive(int(line[2])) for line in batch.log)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
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


@pytest.mark.slow
def test_photos_go_on_side_by_side_after_one_is_killed(batch: Batch) -> None:
    batch.mark("kill-b.png")
    for name in ("f", "g"):  # neither is done before the other was begun
        batch.mark(f"meet-{name}.png")
    lines = finished(batch.start("-j", 2), 2)
    assert errors(lines) == [
        f"error: {batch.photos / 'b.png'}: its process was killed, most likely for "
        "lack of memory; give a smaller --max-side"
    ]
    assert batch.done == [name for name in NAMES if name != "b.png"]
    assert batch.partial == []
    assert batch.begun.count("b.png") == 2
    assert len({line[2] for line in batch.log if line[0] in ("f.png", "g.png")}) == 2
    assert {line[3] for line in batch.log} == {str(max(1, thread_count() // 2))}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_photo_that_another_process_is_at_is_refused(batch: Batch, jobs: int) -> None:
    batch.mark("sleep-c.png")
    first = batch.start()
    wait_until(lambda: (batch.marks / "asleep-c.png").exists())
    lines = finished(batch.start("-j", jobs), 2)
    assert len(errors(lines)) == 1
    assert f"error: {batch.photos / 'c.png'}: {batch.out / 'c'} belongs to process " in lines[-2]
    assert f"process {first.pid} on " in lines[-2]
    assert lines[-1] == "1 of 7 photos could not be done"
    assert batch.done == [name for name in NAMES if name != "c.png"]
    assert len(batch.partial) == 1  # the first one's, which is at work
    first.kill()
    first.wait()
    (batch.marks / "sleep-c.png").unlink()
    finished(batch.start("-j", jobs), 0)
    assert batch.done == NAMES
    assert not list(batch.out.glob("*/.*"))


def test_two_calls_side_by_side_share_the_photos(batch: Batch) -> None:
    batch.mark("sleep-c.png")
    first = batch.start("-j", 2)
    wait_until(lambda: (batch.marks / "asleep-c.png").exists())
    wait_until(lambda: len(batch.done) == len(NAMES) - 1)
    (batch.marks / "sleep-c.png").unlink()
    assert "c.png: " in errors(finished(batch.start(), 2))[0]
    assert len(batch.begun) == len(NAMES)  # what the first had done was not done again
    first.kill()
    first.wait()


def test_all_done_needs_none_of_the_large_libraries(batch: Batch) -> None:
    for name in NAMES:
        folder = batch.out / name.removesuffix(".png")
        folder.mkdir(parents=True)
        report = {"photo": str(batch.photos / name)}
        (folder / "report.json").write_text(json.dumps(report))
    line = [batch.photos, "-o", batch.out, "-j", "2"]
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, infer; infer.main(); print(*sys.modules)", *line],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "PIL" in loaded
    large = {"scipy", "sklearn", "skimage", "numba", "pymatting", "cv2", "torch", "matplotlib"}
    assert large.isdisjoint(loaded)


# --- the real worker ------------------------------------------------------------------------------


@pytest.mark.slow
def test_side_by_side_gives_the_same_bytes(
    batch: Batch, split, checkpoint: Path, scene: Callable, contents: Callable
) -> None:
    for number, name in enumerate(NAMES):
        (batch.photos / name).unlink()
        if number < 3:
            Image.fromarray(scene(24, 30 + number)).save(batch.photos / name)
    line = ("--checkpoint", checkpoint)
    finished(batch.start(*line, "-j", 2, script=REPOSITORY / "infer.py"), 0)
    split.out = batch.photos.parent / "alone"
    assert split(batch.photos, *line) == 0
    assert contents(split.out) == contents(batch.out)
    report = json.loads((batch.out / "a" / "report.json").read_text())
    assert report["startup_seconds"] > 0.1
    assert report["settings"]["jobs"] == 2


@pytest.mark.slow
def test_one_error_for_a_bad_checkpoint_side_by_side(batch: Batch) -> None:
    line = ("-j", 2, "--checkpoint", batch.photos / "none")
    lines = finished(batch.start(*line, script=REPOSITORY / "infer.py"), 2)
    assert len(lines) == 1
    assert lines[0].startswith(f"error: no checkpoint at {batch.photos / 'none'}")
    assert not batch.out.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_killed_twice_the_results_are_those_of_an_undisturbed_run(
    batch: Batch, split, checkpoint: Path, scene: Callable, contents: Callable
) -> None:
    for photo in batch.photos.iterdir():
        photo.unlink()
    for number in range(9):
        Image.fromarray(scene(16 + number, 20)).save(batch.photos / f"{number:02}.png")
    line = ("--checkpoint", checkpoint, "-j", 2)
    for enough in (2, 5):
        process = batch.start(*line, script=REPOSITORY / "infer.py")
        wait_until(lambda enough=enough: len(batch.done) >= enough)
        if enough == 2:  # first one that works, which is done again by another
            os.kill(max(children(process.pid)), signal.SIGKILL)
            wait_until(lambda: len(batch.done) >= 3)
        started = children(process.pid)
        process.kill()
        process.wait()
        wait_until(lambda started=started: not any(map(alive, started)), 20)
    finished(batch.start(*line, script=REPOSITORY / "infer.py"), 0)
    split.out = batch.photos.parent / "undisturbed"
    assert split(batch.photos, "--checkpoint", checkpoint) == 0
    assert len(batch.done) == 9
    assert contents(split.out) == contents(batch.out)


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]
