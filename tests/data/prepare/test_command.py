"""The command as a whole."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from sss.data.bsds500 import Bsds500
from sss.data.prepare.__main__ import main
from sss.data.prepare.archives import DATASETS
from sss.data.prepare.progress import gigabytes
from sss.errors import InputError


def test_cocostuff_is_laid_out_for_the_loader(call, tmp_path: Path) -> None:
    assert call("cocostuff").code == 0
    expected = set()
    for split, count in call.splits.items():
        for number in range(1, count + 1):
            expected |= {
                f"images/{split}/{number:012d}.jpg",
                f"annotations/stuffthingmaps/{split}/{number:012d}.png",
            }
        expected.add(f"annotations/instances_{split}.json")
    assert call.tree("cocostuff") == expected
    photo = tmp_path / "cocostuff" / "images" / "val2017" / "000000000002.jpg"
    assert photo.read_bytes() == call.content("val2017/000000000002.jpg")
    left = {path.suffix for path in (tmp_path / "archives").iterdir()}
    assert left <= {".files", ".sha256", ""}


def test_panoptic_shares_the_photos(call, server, tmp_path: Path) -> None:
    assert call("cocostuff").code == 0
    server.asked.clear()
    assert call("coco-panoptic").code == 0
    assert [name for name, _ in server.asked] == ["panoptic_annotations_trainval2017.zip"]
    mask = tmp_path / "cocostuff" / "annotations" / "panoptic_val2017" / "000000000001.png"
    assert mask.read_bytes() == call.content("panoptic_val2017/000000000001.png")
    assert len(call.tree("cocostuff")) == 12 + 5 + 2
    assert not any(name.endswith(".zip") for name in call.tree("archives"))


def test_bsds500_opens_with_the_loader(call, tmp_path: Path) -> None:
    assert call("bsds500").code == 0
    assert len(Bsds500(tmp_path / "bsds500", "test")) == 2
    assert "Thumbs.db" not in {Path(name).name for name in call.tree()}


def test_a_complete_root_is_left_alone(call, server) -> None:
    assert call("bsds500", "cocostuff").code == 0
    server.asked.clear()
    again = call("bsds500", "cocostuff")
    assert again.code == 0
    assert again.out.count("is complete") == 2
    assert server.asked == []
    assert call("bsds500", "--verify").code == 0


def test_a_full_disk_is_told_before_anything_is_fetched(
    call, server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2_000_000_000))
    # 19.3 GB of archive and as much of photos, with half a block for each.
    with pytest.raises(InputError, match=r"needs 38\.9 GB on the disk of .* 2\.0 GB are free"):
        main(["cocostuff", "--root", "/nowhere/at/all", "--mirror", server.url])
    assert server.asked == []
    assert call("bsds500").code == 0


def test_archives_are_kept_on_request_and_checked_when_found(call, server, tmp_path: Path) -> None:
    assert call("bsds500", "--keep-archives").code == 0
    kept = tmp_path / "archives" / "BSR_bsds500.tgz"
    assert kept.read_bytes() == server.files["BSR_bsds500.tgz"]
    shutil.rmtree(tmp_path / "bsds500")
    kept.write_bytes(b"not that")
    ran = call("bsds500")
    assert ran.code == 2
    assert "is now called BSR_bsds500.tgz.bad" in ran.error
    assert call("bsds500").code == 0


def test_two_runs_do_not_share_a_download(call, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "archives").mkdir()
    with (tmp_path / "archives" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another run is at work" in call("bsds500").error
    assert call("bsds500").code == 0


def test_bad_options(call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "begins with http" in call("bsds500", "--mirror", "ftp://x").error
    monkeypatch.delenv("SSS_DATA", raising=False)
    with pytest.raises(InputError, match="--root DIR or set SSS_DATA"):
        main(["bsds500"])
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="which is a file"):
        main(["bsds500", "--root", str(file)])
    with pytest.raises(InputError, match="choose another --root"):
        main(["bsds500", "--root", str(file / "below")])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "name one data set or more: cocostuff, coco-panoptic, bsds500"),
        (["bsds"], "unknown data set 'bsds', expected cocostuff, coco-panoptic, bsds500"),
        (["bsds500", "--rot", "x"], "unknown argument '--rot'"),
        (["bsds500", "--root"], "argument --root: expected one argument"),
    ],
)
def test_mistyped_commands(arguments: list[str], text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        main(arguments)


def test_help_names_sizes_and_terms(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for word in (*DATASETS, "21.1 GB", "CC BY", "research use", "stuffthingmaps_trainval2017.zip"):
        assert word in text


def test_the_official_table_is_consistent() -> None:
    for dataset in DATASETS.values():
        folders = [part.folder for archive in dataset.archives for part in archive.parts]
        assert {folder for pair in dataset.pairs for folder in pair} <= set(folders)
        for archive in dataset.archives:
            assert (archive.size is None) == (archive.sha256 is None)
            assert archive.sha256 is None or len(archive.sha256) == 64
            assert archive.bytes > 0
    assert gigabytes(DATASETS["bsds500"].archives[0].bytes) == "70.8 MB"
    assert [gigabytes(n) for n in (1, 99_000, 10**8)] == ["0.0 kB", "99.0 kB", "0.1 GB"]


def test_voc(call, tmp_path: Path) -> None:
    assert call("voc2012").code == 0
    home = tmp_path / "voc2012"
    assert sorted(path.name for path in home.iterdir()) == [
        *("Annotations", "ImageSets", "JPEGImages", "SegmentationClass")
    ]
    lists = sorted(path.name for path in (home / "ImageSets" / "Main").iterdir())
    assert lists == ["train.txt", "trainval.txt", "val.txt"]
    assert call("voc2012", "--verify").code == 0
    (home / "Annotations" / "2007_1.xml").unlink()
    assert call("voc2012", "--verify").code == 2
