"""Downloads that go on where they broke off, and the check of what arrived."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from sss.data.prepare.archives import Archive
from sss.data.prepare.progress import ProgressBar, gigabytes, say
from sss.errors import InputError
from sss.files import whole_file

_CHUNK = 1 << 20
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Retry:
    """How often and how long a server is tried.

    Attributes:
        tries: Tries in a row that bring next to nothing before giving up.
        pause: Seconds before the second try; each further one doubles it, up to a minute.
        timeout: Seconds of silence after which a connection counts as broken.
        enough: Bytes; a try that brings this many is not counted against the server.
    """

    tries: int = 6
    pause: float = 1.0
    timeout: float = 60.0
    enough: int = 1 << 20


class _StartAnewError(Exception):
    """What is on the disk cannot be continued."""


def fetch(archive: Archive, url: str, folder: Path, retry: Retry) -> Path:
    """Bring an archive into ``folder`` and check it; one that is there already is only checked.

    While it is incomplete it is called ``NAME.part``, with ``NAME.part.json`` telling which
    version of the file the server had.

    Returns:
        Path of the whole, checked archive.

    Raises:
        InputError: The server has no such file or another one, the transfer broke down for good,
            the disk is full, or the file is not the published one.
    """
    path, part = folder / archive.name, folder / f"{archive.name}.part"
    if path.exists():
        say(f"{archive.name} is in {folder}")
        if wrong := _what_is_wrong(archive, path):
            bad = path.with_name(f"{path.name}.bad")
            os.replace(path, bad)
            raise InputError(
                f"{path} is not the published archive ({wrong}); it is now called {bad.name}, run "
                "the same command to download it"
            )
        return path
    folder.mkdir(parents=True, exist_ok=True)
    say(f"fetching {url}")
    _download(archive, url, part, retry)
    if wrong := _what_is_wrong(archive, part):
        part.unlink()
        raise InputError(
            f"what came from {url} is not the published archive ({wrong}) and was removed; run "
            "the same command to download it anew, or name another source with --mirror"
        )
    os.replace(part, path)
    _note(part).unlink(missing_ok=True)
    return path


def remember_hash(archive: Archive, path: Path) -> None:
    """Keep the hash of an archive that has no published one, now that it unpacked well."""
    note = _hash_note(path)
    if archive.sha256 is None and not note.exists():
        digest = _sha256(path)
        with whole_file(note) as file:
            file.write_text(f"{digest}  {archive.name}\n")
        say(
            f"nobody has published a hash of {archive.name}: it matches its own checksums, and "
            f"{note.name} keeps its SHA-256 for the next time"
        )


def forget(path: Path) -> None:
    """Remove an archive that proved to be damaged, and the hash kept of it."""
    path.unlink(missing_ok=True)
    _hash_note(path).unlink(missing_ok=True)


def _download(archive: Archive, url: str, part: Path, retry: Retry) -> None:
    """Fill ``part`` up, over as many connections as it takes."""
    failures = 0
    while True:
        before = _size(part)
        try:
            _continue(archive, url, part, retry.timeout)
            return
        except _StartAnewError as reason:
            say(f"{archive.name}: {reason}; starting anew")
            part.unlink(missing_ok=True)
            _note(part).unlink(missing_ok=True)
            error: Exception = ConnectionError(str(reason))
        except urllib.error.HTTPError as refusal:
            refusal.close()
            if refusal.code not in _TRANSIENT:
                raise InputError(
                    f"{url} answers {refusal.code} {refusal.reason}; if it has moved, name "
                    "another source with --mirror"
                ) from None
            error = refusal
        except (OSError, HTTPException) as broken:
            error = broken
        failures = 0 if _size(part) - before >= retry.enough else failures + 1
        reason_text = str(getattr(error, "reason", "") or error or type(error).__name__)
        if failures >= retry.tries:
            raise InputError(
                f"cannot fetch {url} ({reason_text}); {gigabytes(_size(part))} of "
                f"{gigabytes(archive.bytes)} are kept, run the same command to continue, or name "
                "another source with --mirror"
            ) from None
        pause = min(60.0, retry.pause * 2 ** max(0, failures - 1))
        say(f"{archive.name}: {reason_text}; trying again in {pause:g} s")
        time.sleep(pause)


def _continue(archive: Archive, url: str, part: Path, timeout: float) -> None:
    """One connection: ask for what is missing and append it.

    Raises:
        _StartAnewError: The server's file is not the one that ``part`` is the beginning of.
        OSError, HTTPException: The connection failed or broke off.
    """
    have = _size(part)
    note = _read_note(part)
    total = archive.size or note.get("total")
    if have and have == total:
        return
    headers = {"User-Agent": "semantic-soft-segmentation", "Accept-Encoding": "identity"}
    validator = note.get("validator") if note.get("url") == url else None
    if have:
        if total is not None and have > total:
            raise _StartAnewError(f"{part.name} is longer than the archive")
        if not validator and archive.sha256 is None:
            raise _StartAnewError("nothing tells whether the server still has the same file")
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    request = urllib.request.Request(url, headers=headers)
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as refusal:
        if refusal.code == 416 and have:
            refusal.close()
            raise _StartAnewError("the server's file is shorter than what is here") from None
        raise
    with response:
        start = _start_of(response, have, validator)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        _refuse_other_file(archive, url, total)
        if have and not start:
            say(f"{archive.name}: the server sends the whole file; starting anew")
            # Before the note, which must never speak of another version than the part's.
            part.unlink()
        with whole_file(_note(part)) as file:
            kept = {"url": url, "validator": _validator(response), "total": total}
            file.write_text(json.dumps(kept))
        _append(response, part, start, total or archive.size, _most(archive, total))
    if total is not None and _size(part) < total:
        raise ConnectionError(f"the connection broke off after {_size(part)} of {total} bytes")


def _refuse_other_file(archive: Archive, url: str, total: int | None) -> None:
    """Notice by its length what is not the archive (a log-in page, say), before it is taken."""
    if total is None:
        return
    wrong = total < archive.about // 2 if archive.size is None else total != archive.size
    if wrong:
        expected = archive.size or f"about {archive.about}"
        raise InputError(
            f"{url} has {total} bytes, expected {expected}: it is not the published archive; try "
            "again later or name another source with --mirror"
        )


def _start_of(response: HTTPResponse, have: int, validator: str | None) -> int:
    """Byte at which the answer begins: ``have``, or 0 for the whole file."""
    if response.status != 206:
        return 0
    given = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if given is None or int(given[1]) != have:
        raise _StartAnewError("the server sends another range than it was asked for")
    if validator and _validator(response) not in (None, validator):
        raise _StartAnewError("the server's file has changed")
    return have


def _most(archive: Archive, total: int | None) -> int:
    """Bytes beyond which an answer is not the archive: a server may never end."""
    return total or archive.size or 2 * archive.about


def _append(response: HTTPResponse, part: Path, start: int, total: int | None, most: int) -> None:
    title = part.name.removesuffix(".part")
    try:
        file = part.open("r+b" if start else "wb")
    except OSError as error:
        raise InputError(f"cannot write {part}: {error.strerror}") from error
    with file, ProgressBar(title, total, start) as progress:
        file.seek(start)
        while chunk := response.read1(_CHUNK):
            if file.tell() + len(chunk) > most:
                raise InputError(
                    f"{title}: the server sends more than the {most} bytes that it should have; "
                    "remove what is there, or name another source with --mirror"
                )
            try:
                file.write(chunk)
                file.flush()
            except OSError as error:
                raise InputError(
                    f"cannot write {part}: {error.strerror}; what is there is kept, make room and "
                    "run the same command to continue"
                ) from error
            progress.advance(len(chunk))


def _validator(response: HTTPResponse) -> str | None:
    """What names this version of the file: a strong ETag, else the date (RFC 9110, 13.1.5)."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _what_is_wrong(archive: Archive, path: Path) -> str | None:
    size = _size(path)
    if archive.size is not None and size != archive.size:
        return f"{size} bytes instead of {archive.size}"
    expected, source = archive.sha256, "published"
    note = _hash_note(path.with_name(archive.name))
    if expected is None and note.exists():
        expected, source = note.read_text().split(" ", 1)[0].strip(), f"in {note.name}"
    if expected is None:
        return None
    found = _sha256(path)
    return None if found == expected else f"SHA-256 {found[:12]}…, {source} is {expected[:12]}…"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file, ProgressBar(f"checking {path.name}", _size(path)) as progress:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            progress.advance(len(chunk))
    return digest.hexdigest()


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _hash_note(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _read_note(part: Path) -> dict[str, Any]:
    try:
        note = json.loads(_note(part).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
