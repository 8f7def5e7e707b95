"""A local server with tiny archives in the official layout, and the command run against it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sss.console import run_main
from sss.data.prepare.__main__ import main
from sss.data.prepare.archives import DATASETS, DataSet
from sss.data.prepare.download import Retry

SPLITS = {"train2017": 3, "val2017": 2}


@dataclass
class Server:
    """What the handler below serves, how it misbehaves, and what it was asked.

    Attributes:
        files: Content by name.
        cut: How many bytes each of the next requests gets before the connection breaks.
        silence: Seconds between the last of these bytes and the break.
        answers: Error codes of the next requests.
        ranges: Whether ``Range`` is understood.
        if_range: Whether ``If-Range`` is obeyed.
        tags: Whether there is an ETag.
        lengths: Whether the answer says how long it is.
        asked: Name and Range of every request.
    """

    files: dict[str, bytes]
    url: str = ""
    cut: list[int] = field(default_factory=list)
    silence: float = 0.0
    answers: list[int] = field(default_factory=list)
    ranges: bool = True
    if_range: bool = True
    tags: bool = True
    lengths: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


def make_handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, wanted = self.path.rsplit("/", 1)[1], self.headers["Range"]
            server.asked.append((name, wanted))
            if server.answers or name not in server.files:
                self.send_error(server.answers.pop(0) if server.answers else 404)
                return
            body = server.files[name]
            tag = f'"{hashlib.md5(body).hexdigest()}"'
            start = int(wanted[6:-1]) if wanted and server.ranges else 0
            if server.if_range and self.headers["If-Range"] not in (None, tag):
                start = 0
            if start and start >= len(body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            if server.tags:
                self.send_header("ETag", tag)
            if server.lengths:
                self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            if server.cut:
                self.wfile.write(body[start:][: server.cut.pop(0)])
                time.sleep(server.silence)
            else:
                self.wfile.write(body[start:])

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def zipped(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def content(name: str, size: int = 300) -> bytes:
    """Bytes that do not compress, the same for the same name."""
    return hashlib.shake_128(name.encode()).digest(size)


def files(folder: str, split: str, suffix: str) -> dict[str, bytes]:
    names = [f"{folder}{number:012d}{suffix}" for number in range(1, SPLITS[split] + 1)]
    return {name: content(name) for name in names}


def official_archives() -> dict[str, bytes]:
    """All archives by name, laid out as the official ones are, clutter included."""
    photo_names = {s: [f"{n:012d}.jpg" for n in range(1, c + 1)] for s, c in SPLITS.items()}
    instances = {
        f"annotations/instances_{s}.json": json.dumps(
            {"images": [{"file_name": name} for name in names], "annotations": []}
        ).encode()
        for s, names in photo_names.items()
    }
    panoptic: dict[str, bytes] = {"__MACOSX/annotations/._panoptic_val2017.json": b"clutter"}
    for s, names in photo_names.items():
        listed = [{"file_name": name.replace("jpg", "png")} for name in names]
        panoptic[f"annotations/panoptic_{s}.json"] = json.dumps(
            {"images": [{"file_name": name} for name in names], "annotations": listed}
        ).encode()
        masks = files(f"panoptic_{s}/", s, ".png") | {f"__MACOSX/panoptic_{s}/._1.png": b"clutter"}
        panoptic[f"annotations/panoptic_{s}.zip"] = zipped(masks)
    bsds = {"BSR/BSDS500/data/images/train/Thumbs.db": b"clutter", "BSR/bench/x.m": b"clutter"}
    for split in ("train", "val", "test"):
        for name in ("12003", "8068"):
            photo = f"BSR/BSDS500/data/images/{split}/{name}.jpg"
            truth = f"BSR/BSDS500/data/groundTruth/{split}/{name}.mat"
            bsds |= {photo: content(photo), truth: content(truth)}
    voc = {"VOCdevkit/VOC2012/SegmentationObject/1.png": b"clutter"}
    home = "VOCdevkit/VOC2012"
    for name in ("2007_1", "2007_2"):
        for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
            voc[f"{home}/{folder}/{name}.{suffix}"] = content(name + suffix)
    voc[f"{home}/SegmentationClass/2007_2.png"] = content("mask")
    for kind in ("Main", "Segmentation"):
        for split in ("train", "val", "trainval", "cat_train"):
            voc[f"{home}/ImageSets/{kind}/{split}.txt"] = b"2007_1\n"
    return {
        "VOCtrainval_11-May-2012.tar": tarred(voc),
        "train2017.zip": zipped(files("train2017/", "train2017", ".jpg")),
        "val2017.zip": zipped(files("val2017/", "val2017", ".jpg")),
        "stuffthingmaps_trainval2017.zip": zipped(
            files("train2017/", "train2017", ".png") | files("val2017/", "val2017", ".png")
        ),
        "annotations_trainval2017.zip": zipped(instances | {"annotations/captions.json": b"{}"}),
        "panoptic_annotations_trainval2017.zip": zipped(panoptic),
        "BSR_bsds500.tgz": tarred(bsds),
    }


def shrink(dataset: DataSet, contents: Mapping[str, bytes]) -> DataSet:
    """The official table with the counts, sizes and hashes of the tiny archives."""
    counts = {118_287: 3, 5_000: 2, 200: 2, 100: 2, 17_125: 2, 2_913: 1, 1: 1}
    archives = []
    for archive in dataset.archives:
        body = contents[archive.name]
        published = archive.sha256 is not None
        parts = tuple(replace(part, count=counts[part.count]) for part in archive.parts)
        archives.append(
            replace(
                archive,
                parts=parts,
                unpacked=len(body),
                size=len(body) if published else None,
                sha256=hashlib.sha256(body).hexdigest() if published else None,
                about=0 if published else len(body),
            )
        )
    return replace(dataset, archives=tuple(archives))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = Server(official_archives())
    http = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(served))
    http.daemon_threads = True
    served.url = f"http://127.0.0.1:{http.server_address[1]}/mirror"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    http.shutdown()
    thread.join()
    http.server_close()


@dataclass
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of the error message."""
        assert self.code == 2
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1
        return self.err


@dataclass
class Call:
    """``python -m sss.data.prepare`` with the tiny tables, the root and the server filled in."""

    server: Server
    root: Path
    tables: Mapping[str, DataSet]
    capsys: pytest.CaptureFixture[str]
    retry: Retry = field(default=Retry(tries=3, pause=0.001, timeout=5.0))
    content = staticmethod(content)
    files = staticmethod(files)
    zipped = staticmethod(zipped)
    splits = SPLITS

    def __call__(self, *arguments: str) -> Result:
        line = [*arguments, "--root", str(self.root)]
        if "--mirror" not in line and "--verify" not in line:
            line += ["--mirror", self.server.url]
        self.capsys.readouterr()
        code = run_main(lambda: main(line, self.tables, self.retry))
        return Result(code, *self.capsys.readouterr())

    def part(self, name: str, content: bytes | None = None) -> Path:
        """Path of an unfinished download; with ``content``, as an earlier run left it."""
        path = self.root / "archives" / f"{name}.part"
        if content is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return path

    def tree(self, folder: str = ".") -> set[str]:
        """All files below ``folder``, relative to it."""
        place = self.root / folder
        return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


@pytest.fixture
def call(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    tables = {name: shrink(dataset, server.files) for name, dataset in DATASETS.items()}
    return Call(server, tmp_path, tables, capsys)
