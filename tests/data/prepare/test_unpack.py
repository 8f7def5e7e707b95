"""Archives: bad ones, and runs that were killed while unpacking."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from sss.data.prepare.unpack import DamagedArchiveError, unpack


def test_killed_between_download_and_unpacking(call, server, tmp_path: Path) -> None:
    """The archive is whole, some files are there, one is half written under another name."""
    archives, photos = tmp_path / "archives", tmp_path / "cocostuff" / "images" / "train2017"
    photos.mkdir(parents=True)
    archives.mkdir()
    (archives / "train2017.zip").write_bytes(server.files["train2017.zip"])
    (photos / "000000000001.jpg").write_bytes(call.content("train2017/000000000001.jpg"))
    (photos / "000000000002.jpg").write_bytes(b"short")
    (photos / ".partial-x.jpg").write_bytes(b"half")
    before = (photos / "000000000001.jpg").stat().st_mtime_ns
    ran = call("cocostuff")
    assert ran.code == 0
    assert "train2017.zip" not in [name for name, _ in server.asked]
    assert "unpacking train2017.zip: 2 of 3 files" in ran.out
    assert {path.name for path in photos.iterdir()} == {f"{n:012d}.jpg" for n in (1, 2, 3)}
    assert (photos / "000000000001.jpg").stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["traversal", "crc", "no zip", "too few"])
def test_a_bad_archive_without_published_hash(call, server, tmp_path: Path, damage: str) -> None:
    name = "stuffthingmaps_trainval2017.zip"
    good = server.files[name]
    members = call.files("train2017/", "train2017", ".png") | call.files(
        "val2017/", "val2017", ".png"
    )
    first = good.index(call.content("train2017/000000000001.png")[:50])
    server.files[name] = {
        "traversal": call.zipped(members | {"train2017/../../../../evil.png": b"evil"}),
        "crc": good[:first] + b"\0" * 20 + good[first + 20 :],
        "no zip": call.content("nonsense", len(good)),
        "too few": call.zipped(dict(list(members.items())[1:])),
    }[damage]
    ran = call("cocostuff")
    assert ran.code == 2
    assert "is damaged and was removed" in ran.error
    assert not any("evil" in found for found in call.tree(".."))
    assert not (tmp_path / "archives" / f"{name}.sha256").exists()
    server.files[name] = good
    assert call("cocostuff").code == 0


def test_links_in_a_tar_are_not_followed(call, server, tmp_path: Path) -> None:
    """A link in place of a photo would lead the next photo, or a reader, out of the folder."""
    archive = call.tables["bsds500"].archives[0]
    file = tmp_path / archive.name
    with (
        tarfile.open(fileobj=io.BytesIO(server.files[archive.name])) as good,
        tarfile.open(file, "w:gz") as bad,
    ):
        for member in good:
            if member.name.endswith("images/val/8068.jpg"):
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
            bad.addfile(member, good.extractfile(member) if member.isfile() else None)
    with pytest.raises(DamagedArchiveError, match=r"holds 1 files .*images/val/\*.jpg, expected 2"):
        unpack(archive, file, tmp_path / "home")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_tar_that_breaks_off(call, server, tmp_path: Path, keep: float) -> None:
    archive = call.tables["bsds500"].archives[0]
    body = server.files[archive.name]
    file = tmp_path / archive.name
    file.write_bytes(body[: int(keep * len(body)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(DamagedArchiveError):
        unpack(archive, file, tmp_path / "home")
