"""infer.py with nothing but its handling of photos and processes.

Files in the folder MARKS called like a photo say what happens to it; its file ``log`` tells what
happened: photo, rank, process, threads.
"""

import os
import signal
import sys
import time
import warnings
from pathlib import Path

from sss.cli.split import run
from sss.cli.split_options import SplitOptions, parse_options
from sss.console import run_main
from sss.files import remove_partial_files, whole_file
from sss.threads import thread_count

MARKS = Path(os.environ["MARKS"])


class Worker:
    def try_photo(self, photo: Path, folder: Path) -> str | None:
        remove_partial_files(folder)
        line = f"{photo.name} {os.environ.get('RANK')} {os.getpid()} {thread_count()}\n"
        with (MARKS / "log").open("a") as log:
            log.write(line)
        warnings.warn("a library is worried", RuntimeWarning, stacklevel=1)
        if marked("fail", photo):
            return f"{photo}: the lens cap was on"
        with whole_file(folder / "report.json") as partial:
            partial.write_text(line)
            self.obey(photo)
        return None

    def obey(self, photo: Path) -> None:
        if marked("kill", photo):
            os.kill(os.getpid(), signal.SIGKILL)
        if marked("once", photo):
            (MARKS / f"once-{photo.name}").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if marked("sleep", photo):
            (MARKS / f"asleep-{photo.name}").touch()
            time.sleep(100)
        if marked("meet", photo):
            (MARKS / f"met-{photo.name}").touch()
            end = time.monotonic() + 50
            while len(list(MARKS.glob("met-*"))) < 2 and time.monotonic() < end:
                time.sleep(0.01)


def marked(what: str, photo: Path) -> bool:
    return (MARKS / f"{what}-{photo.name}").exists()


def open_worker(_options: SplitOptions) -> Worker:
    return Worker()


if __name__ == "__main__":
    sys.exit(run_main(lambda: run(parse_options(), open_worker)))
