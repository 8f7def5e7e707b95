from pathlib import Path

import numpy as np
import pytest

from data.sources import SOURCES, data_root, open_source
from sss.errors import InputError


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"'ade20k'; known: .*bsds500.*scenes"):
        open_source("ade20k", None, "train")


@pytest.mark.parametrize("name", sorted(set(SOURCES) - {"scenes"}))
def test_data_on_disk_needs_a_root(name: str) -> None:
    with pytest.raises(InputError, match=r"data\.root.*SSS_DATA.*smoke\.yaml"):
        open_source(name, None, "train")


@pytest.mark.parametrize("name", sorted(set(SOURCES) - {"scenes"}))
def test_empty_root(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        open_source(name, tmp_path, "train")


def test_scenes_need_no_root() -> None:
    train, val = (open_source("scenes", None, split) for split in ("train", "val"))
    assert len(train) > len(val) > 0
    photo, labels = train[0]
    assert photo.shape == (240, 320, 3)
    assert labels.shape == (1, 240, 320)
    assert not np.array_equal(photo, val[0][0])
    with pytest.raises(InputError, match="not 'test'"):
        open_source("scenes", None, "test")


def test_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSS_DATA", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert data_root(None) is None
    assert data_root("~/sets") == Path("/home/somebody/sets")
    monkeypatch.setenv("SSS_DATA", "/elsewhere")
    assert data_root(None) == Path("/elsewhere")
    assert data_root("given") == Path("given")


@pytest.mark.reference
@pytest.mark.parametrize("name", ["bsds500", "coco_instances"])
def test_real_sets_open_by_name(reference: Path, name: str) -> None:
    photo, labels = open_source(name, reference, "train")[0]
    assert labels.ndim == 3
    assert labels.shape[1:] == photo.shape[:2]
