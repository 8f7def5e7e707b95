"""Transfers that break, servers that misbehave, files that are not the published ones."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sss.data.prepare.progress import ProgressBar


def test_a_transfer_that_breaks_goes_on(call, server) -> None:
    server.cut = [1000, 500]
    ran = call("bsds500")
    assert ran.code == 0
    assert [wanted for _, wanted in server.asked] == [None, "bytes=1000-", "bytes=1500-"]
    assert "broke off after 1000 of" in ran.out


def test_tries_that_bring_much_are_not_counted(call, server) -> None:
    call.retry = replace(call.retry, enough=400)
    server.cut = [400] * (call.retry.tries + 3)
    assert call("bsds500").code == 0
    assert len(server.asked) == call.retry.tries + 4


def test_a_connection_that_falls_silent_counts_as_broken(call, server) -> None:
    server.cut, server.silence = [700], 0.5
    call.retry = replace(call.retry, timeout=0.1)
    ran = call("bsds500")
    assert ran.code == 0
    assert "timed out" in ran.out
    assert server.asked[-1] == ("BSR_bsds500.tgz", "bytes=700-")


def test_a_transfer_that_keeps_breaking_is_given_up_and_continued(call, server) -> None:
    server.cut = [400, 400, 400]
    ran = call("bsds500")
    assert ran.code == 2
    assert "run the same command to continue" in ran.error
    assert call.part("BSR_bsds500.tgz").stat().st_size == 1200
    assert call("bsds500").code == 0
    assert server.asked[-1] == ("BSR_bsds500.tgz", "bytes=1200-")


def test_a_server_that_ignores_ranges_sends_all_anew(call, server) -> None:
    server.ranges, server.cut = False, [900]
    ran = call("bsds500")
    assert ran.code == 0
    assert "sends the whole file" in ran.out


@pytest.mark.parametrize("obeys", [True, False])
def test_a_file_that_changes_on_the_server_is_never_mixed(call, server, obeys: bool) -> None:
    name = "stuffthingmaps_trainval2017.zip"  # no published hash: only the ETag can tell
    good = server.files[name]
    server.files[name] = call.content("an older version", len(good))
    server.if_range = obeys
    part = call.part(name, server.files[name][:500])
    tag = f'"{hashlib.md5(server.files[name]).hexdigest()}"'
    note = {"url": f"{server.url}/{name}", "validator": tag, "total": len(good)}
    part.with_name(f"{name}.part.json").write_text(json.dumps(note))
    server.files[name] = good
    assert call("cocostuff").code == 0
    wanted = [wanted for asked, wanted in server.asked if asked == name]
    assert wanted == (["bytes=500-"] if obeys else ["bytes=500-", None])


def test_without_etag_and_hash_nothing_is_continued(call, server) -> None:
    name = "stuffthingmaps_trainval2017.zip"
    server.tags = False
    call.part(name, server.files[name][:500])
    assert call("cocostuff").code == 0
    assert (name, "bytes=500-") not in server.asked


def test_with_a_hash_a_download_goes_on_at_another_server(call, server) -> None:
    name = "BSR_bsds500.tgz"
    call.part(name, server.files[name][:500])
    assert call("bsds500").code == 0
    assert server.asked == [(name, "bytes=500-")]


def test_a_part_that_is_too_long_is_dropped(call, server) -> None:
    call.part("BSR_bsds500.tgz", server.files["BSR_bsds500.tgz"] + b"more")
    assert call("bsds500").code == 0


def test_a_wrong_hash_is_removed(call, server) -> None:
    good = server.files["BSR_bsds500.tgz"]
    server.files["BSR_bsds500.tgz"] = good[:-1] + bytes([good[-1] ^ 1])
    ran = call("bsds500")
    assert ran.code == 2
    assert "SHA-256" in ran.error
    assert call.tree("archives") <= {".lock", "BSR_bsds500.tgz.part.json"}
    server.files["BSR_bsds500.tgz"] = good
    assert call("bsds500").code == 0


def test_a_wrong_size_is_noticed_before_the_download(call, server) -> None:
    for name in ("BSR_bsds500.tgz", "stuffthingmaps_trainval2017.zip"):
        server.files[name] = b"<html>please log in</html>"
    assert "has 26 bytes, expected" in call("bsds500").error
    ran = call("cocostuff")
    assert ran.code == 2
    assert "has 26 bytes, expected about" in ran.error
    assert not any(name.endswith(".part") for name in call.tree())


def test_a_server_that_does_not_end(call, server) -> None:
    server.lengths = False
    size = len(server.files["BSR_bsds500.tgz"])
    server.files["BSR_bsds500.tgz"] *= 3
    ran = call("bsds500")
    assert ran.code == 2
    assert f"the server sends more than the {size} bytes" in ran.error
    assert call.part("BSR_bsds500.tgz").stat().st_size <= size


def test_a_disk_that_cannot_be_read(call, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/some/folder")

    monkeypatch.setattr("sss.data.prepare.__main__.prepare", failing)
    ran = call("bsds500")
    assert ran.code == 2
    assert "/some/folder: Permission denied" in ran.error


def test_a_file_that_is_gone_is_told_at_once(call, server) -> None:
    del server.files["BSR_bsds500.tgz"]
    ran = call("bsds500")
    assert ran.code == 2
    assert "404" in ran.error
    assert "--mirror" in ran.err
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(call, server) -> None:
    server.answers = [503, 429]
    assert call("bsds500").code == 0
    assert len(server.asked) == 3


def test_no_server(call) -> None:
    ran = call("bsds500", "--mirror", "http://127.0.0.1:9/")
    assert ran.code == 2
    assert "refused" in ran.error
    assert ran.out.count("trying again") == call.retry.tries - 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_on_the_way(call, tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    call.part("BSR_bsds500.tgz").symlink_to("/dev/full")
    ran = call("bsds500")
    assert ran.code == 2
    assert "No space left" in ran.error
    assert "run the same command to continue" in ran.err


def test_the_hash_of_the_first_download_is_kept(call, server, tmp_path: Path) -> None:
    name = "stuffthingmaps_trainval2017.zip"
    assert "keeps its SHA-256" in call("cocostuff").out
    digest = hashlib.sha256(server.files[name]).hexdigest()
    assert (tmp_path / "archives" / f"{name}.sha256").read_text() == f"{digest}  {name}\n"
    shutil.rmtree(tmp_path / "cocostuff" / "annotations" / "stuffthingmaps")
    server.files[name] = call.zipped({"other": b"x" * 5000} | {"y": call.content("y", 5000)})
    ran = call("cocostuff")
    assert ran.code == 2
    assert f"in {name}.sha256" in ran.error


def test_ctrl_c_leaves_what_came_so_far(call, server, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: ProgressBar, amount: int) -> None:
        raise KeyboardInterrupt

    server.cut = [800]
    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "advance", stop)
        ran = call("bsds500")
    assert ran.code == 130
    left = call.tree() - {"archives/.lock", "archives/BSR_bsds500.tgz.part.json"}
    assert left == {"archives/BSR_bsds500.tgz.part"}
    assert 0 < call.part("BSR_bsds500.tgz").stat().st_size <= 800
    assert call("bsds500").code == 0
