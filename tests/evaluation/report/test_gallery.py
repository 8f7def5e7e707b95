import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.evaluation.records import Record
from sss.evaluation.report.gallery import build_gallery
from sss.evaluation.report.plots import all_styles
from sss.evaluation.summary import GroupSummary

Make = Callable[..., list[Record]]
PHOTOS = [f"p{i}" for i in range(9)]


def decoded(source: str) -> np.ndarray:
    content = base64.b64decode(source.removeprefix("data:image/webp;base64,"))
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.fixture
def summary(
    make_records: Make, make_cache: Callable, summarise: Callable, tmp_path: Path
) -> GroupSummary:
    records = make_records(["a", "b"], PHOTOS)
    make_cache(tmp_path, records)
    return summarise(records)[0]


def test_pictures_are_those_of_the_best_scale(summary: GroupSummary, tmp_path: Path) -> None:
    gallery = build_gallery(summary, tmp_path, all_styles([summary]))
    assert gallery is not None
    for card in gallery.cards:
        assert [tile.title for tile in card.tiles] == ["Photo", "Truth", "a", "b"]
        for tile in card.tiles[2:]:
            picture = decoded(tile.source)
            assert picture.shape == (32, 48, 3) == (*tile.size[::-1], 3)
            # The invented thumbnails tell their scale by their red channel.
            assert abs(picture[..., 0].mean() - 20 * summary.shown_scale(tile.title)) < 8


def test_cards_stand_worst_first_with_their_values(summary: GroupSummary, tmp_path: Path) -> None:
    gallery = build_gallery(summary, tmp_path, all_styles([summary]))
    assert gallery is not None
    means = [np.mean([v for v in card.values if v is not None]) for card in gallery.cards]
    assert means == sorted(means)
    place = summary.photos.index(gallery.cards[0].photo)
    values = [float(summary.scores["covering", entry].per_photo[place]) for entry in "ab"]
    assert list(gallery.cards[0].values) == values
    assert [tile.text for tile in gallery.cards[0].tiles[2:]] == [f"{v:.3f}" for v in values]
    assert [tile.best for tile in gallery.cards[0].tiles[2:]] == [v == max(values) for v in values]


def test_too_small_a_budget_keeps_the_worst_and_the_best(
    summary: GroupSummary, tmp_path: Path
) -> None:
    styles = all_styles([summary])
    whole = build_gallery(summary, tmp_path, styles)
    assert whole is not None
    files = [f"{kind}-p0" for kind in ("photo", "truth")]
    files += [entry.keys[0] for entry in summary.entries]
    sizes = [(tmp_path / f"{name}.webp").stat().st_size for name in files]
    one = 4 / 3 * (sizes[0] + sizes[1] + sizes[2] / 11 + sizes[3] / 11)
    part = build_gallery(summary, tmp_path, styles, budget=4.5 * one)
    assert part is not None
    names = [card.photo for card in whole.cards]
    assert [card.photo for card in part.cards] == [*names[:2], *names[-2:]]
    assert part.total == 9


def test_missing_and_broken_pictures_leave_a_gap(summary: GroupSummary, tmp_path: Path) -> None:
    (tmp_path / f"{summary.entries[0].keys[0]}.webp").unlink()
    (tmp_path / f"{summary.entries[1].keys[0]}.webp").write_bytes(b"no picture")
    (tmp_path / "truth-p0.webp").unlink()
    gallery = build_gallery(summary, tmp_path, all_styles([summary]))
    assert gallery is not None
    card = next(card for card in gallery.cards if card.photo == "p0")
    assert [bool(tile.source) for tile in card.tiles] == [True, False, False, False]


def test_without_pictures_there_is_no_gallery(make_summaries: Callable, tmp_path: Path) -> None:
    for groups in (("regions",), ("features",)):
        summary = make_summaries(["a"], PHOTOS, groups)[0]
        assert build_gallery(summary, tmp_path, all_styles([summary])) is None
