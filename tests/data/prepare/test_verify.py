"""What is said about a data set that is there in part."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path


def test_what_is_missing_is_named(call, tmp_path: Path) -> None:
    assert call("cocostuff").code == 0
    home = tmp_path / "cocostuff"
    maps = home / "annotations" / "stuffthingmaps" / "train2017"
    (maps / "000000000002.png").unlink()
    (home / "images" / "val2017" / "000000000001.jpg").write_bytes(b"")
    (home / "images" / "train2017" / "000000000003.jpg").write_bytes(b"other size")
    (home / "README").write_text("nobody minds")
    (home / "images" / "train2017" / "notes.txt").write_text("nor this")
    ran = call("cocostuff", "--verify")
    assert ran.code == 2
    assert f"{maps}/*.png: 2 of 3 files, missing: 000000000002.png" in ran.out
    assert "val2017/*.jpg: 1 empty: 000000000001.jpg" in ran.out
    assert "1 not of the size in the archive: 000000000003.jpg" in ran.out
    assert "README" not in ran.out
    assert "notes" not in ran.out
    assert f"python -m sss.data.prepare cocostuff --root {tmp_path}" in ran.error
    assert call("cocostuff").code == 0
    assert (maps / "000000000002.png").read_bytes() == call.content("train2017/000000000002.png")


def test_a_root_without_listings_is_checked_by_json_and_pairs(call, server, tmp_path: Path) -> None:
    assert call("cocostuff").code == 0
    shutil.rmtree(tmp_path / "archives")
    assert call("cocostuff", "--verify").code == 0
    home = tmp_path / "cocostuff"
    (home / "images" / "train2017" / "000000000001.jpg").unlink()
    (home / "annotations" / "stuffthingmaps" / "val2017" / "000000000002.png").unlink()
    ran = call("cocostuff", "--verify")
    assert "1 of 3 files named in instances_train2017.json are missing: 000000000001.jpg" in ran.out
    assert "1 without partner in" in ran.out
    assert "000000000002.jpg" in ran.out
    server.asked.clear()
    assert call("cocostuff").code == 0
    assert {name for name, _ in server.asked} == {
        "train2017.zip",
        "stuffthingmaps_trainval2017.zip",
    }


def test_json_that_breaks_off_is_fetched_anew(call, tmp_path: Path) -> None:
    assert call("cocostuff").code == 0
    shutil.rmtree(tmp_path / "archives")
    file = tmp_path / "cocostuff" / "annotations" / "instances_val2017.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    assert "breaks off" in call("cocostuff", "--verify").out
    assert call("cocostuff").code == 0
    assert file.read_bytes() == whole


def test_a_stray_photo_is_named_not_fetched_for(call, server, tmp_path: Path) -> None:
    assert call("bsds500").code == 0
    (tmp_path / "bsds500" / "images" / "val" / "mine.jpg").write_bytes(b"mine")
    server.asked.clear()
    ran = call("bsds500")
    assert ran.code == 2
    assert "1 not part of the data set, remove: mine.jpg" in ran.out
    assert server.asked == []


def test_bsds500_as_its_archive_unpacks(call, server, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(server.files["BSR_bsds500.tgz"])) as archive:
        archive.extractall(tmp_path / "x", filter="data")
    (tmp_path / "bsds500").mkdir()
    shutil.move(tmp_path / "x" / "BSR" / "BSDS500", tmp_path / "bsds500" / "BSDS500")
    assert call("bsds500").code == 0
    assert server.asked == []


def test_verify_of_nothing_writes_nothing(call, tmp_path: Path) -> None:
    ran = call("bsds500", "--verify")
    assert ran.code == 2
    assert "images/test/*.jpg: 0 of 2 files" in ran.out
    assert list(tmp_path.iterdir()) == []
