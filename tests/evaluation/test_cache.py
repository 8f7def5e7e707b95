"""Results on disk."""

import dataclasses
import json
import os
import pickle
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.evaluation.cache import STALE_SECONDS, Cache, code_versions
from sss.evaluation.records import Record, record_key

SETTINGS = {"method": {"name": "m", "weight": 0.1}, "seed": 0}
PICTURE = np.full((8, 6, 3), 120, np.uint8)


@pytest.fixture
def record() -> Record:
    return Record(
        photo="p",
        entry="m · net",
        kind="layers",
        model="net",
        method="m",
        scales=[2.0, 3.0],
        sums={"covering": [(0.1 + 0.2, 1.0), (1 / 3, 1.0)]},
        layers=[2, 3],
        seconds=[0.5, 0.25],
        settings=SETTINGS,
        key=record_key(SETTINGS),
    )


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "made" / "cache")


def test_a_record_comes_back_bit_for_bit(cache: Cache, record: Record) -> None:
    assert cache.read(record.key) is None
    cache.write(record, PICTURE)
    assert cache.read(record.key) == record
    with Image.open(cache.folder / f"{record.key}.webp") as picture:
        assert picture.size == (6, 8)
    assert len(list(cache.folder.iterdir())) == 2


def test_the_key_is_that_of_the_canonical_json() -> None:
    import hashlib

    text = '{"a":[1,2.5],"b":{"c":null,"d":"x"}}'
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert record_key({"b": {"d": "x", "c": None}, "a": [1, 2.5]}) == expected
    assert record_key({"b": {"d": "x", "c": None}, "a": [1, 2.6]}) != expected
    with pytest.raises(ValueError, match="not JSON compliant"):
        record_key({"a": float("nan")})


def test_nan_is_refused_before_anything_is_written(cache: Cache, record: Record) -> None:
    record.sums["pri"] = [(float("nan"), 1.0), (0.5, 1.0)]
    with pytest.raises(ValueError, match="not JSON compliant"):
        cache.write(record, PICTURE)
    assert not cache.folder.exists()


class Trap:
    """Fails the test if it is unpickled."""

    def __reduce__(self) -> tuple:
        return pytest.fail, ("something of the cache was executed",)


def huge_png() -> bytes:
    """A PNG of 60 000 × 60 000 pixels, by its header."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    check = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + b"IHDR" + header + check


def broken(cache: Cache, record: Record, how: str) -> None:
    path, picture = cache.folder / f"{record.key}.json", cache.picture(record.key)
    content = json.loads(path.read_text())
    if how == "cut off":
        path.write_bytes(path.read_bytes()[:50])
    elif how == "no text":
        path.write_bytes(b"\xff\xfe\x00")
    elif how == "another version":
        path.write_text(json.dumps({**content, "extra": 1}))
    elif how == "other settings":
        path.write_text(json.dumps({**content, "settings": {"seed": 1}}))
    elif how == "unknown metric":
        path.write_text(json.dumps({**content, "sums": {"beauty": [[1, 1], [1, 1]]}}))
    elif how == "too few scales":
        path.write_text(json.dumps({**content, "sums": {"pri": [[1, 1]]}}))
    elif how == "scales of text":
        path.write_text(json.dumps({**content, "scales": ["2", "3"]}))
    elif how == "layers of nothing":
        path.write_text(json.dumps({**content, "layers": None}))
    elif how == "no name":
        path.write_text(json.dumps({**content, "photo": 7}))
    elif how == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    elif how == "nested without end":
        path.write_text("[" * 100_000)
    elif how == "huge picture":
        picture.write_bytes(huge_png())
    elif how == "no picture":
        picture.unlink()
    else:
        picture.write_bytes(b"RIFF" + bytes(40))


@pytest.mark.parametrize(
    "how",
    [
        "cut off",
        "no text",
        "another version",
        "other settings",
        "unknown metric",
        "too few scales",
        "scales of text",
        "layers of nothing",
        "no name",
        "pickle",
        "nested without end",
        "huge picture",
        "no picture",
        "damaged picture",
    ],
)
def test_a_broken_entry_counts_as_missing(cache: Cache, record: Record, how: str) -> None:
    cache.write(record, PICTURE)
    broken(cache, record, how)
    assert cache.read(record.key) is None
    cache.write(record, PICTURE)
    assert cache.read(record.key) == record


def test_features_need_no_picture(cache: Cache, record: Record) -> None:
    features = dataclasses.replace(
        record, kind="features", method=None, scales=[0.0], sums={"ami": [(0.5, 1.0)]}
    )
    cache.write(features)
    assert cache.read(record.key) == features


def test_versions_are_those_installed() -> None:
    assert code_versions()["numpy"] == np.__version__


def test_only_old_partial_files_are_removed(cache: Cache, record: Record) -> None:
    cache.tidy()  # nothing there yet
    cache.write(record, PICTURE)
    new, old = cache.folder / ".partial-new.json", cache.folder / ".partial-old.json"
    for path in (new, old):
        path.touch()
    past = time.time() - STALE_SECONDS - 10
    os.utime(old, (past, past))
    cache.tidy()
    assert new.exists()
    assert not old.exists()
    assert cache.read(record.key) == record
