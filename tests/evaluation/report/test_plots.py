import re
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sss.evaluation.report.labels import place_labels
from sss.evaluation.report.plots import all_styles, write_plots
from sss.evaluation.report.style import PALETTE, entry_styles, inline_svg
from sss.evaluation.summary import GroupSummary

Make = Callable[..., list[GroupSummary]]


def drawn(folder: Path, summaries: Sequence[GroupSummary]) -> dict[str, list[str]]:
    plots = write_plots(folder, summaries, all_styles(summaries))
    return {group: [plot.name for plot, _ in pairs] for group, pairs in plots.items()}


@pytest.mark.slow
def test_every_plot_is_a_png_and_an_svg(make_summaries: Make, tmp_path: Path) -> None:
    names = drawn(tmp_path, make_summaries(["a", "b", "c"], ["x", "y"], ("regions",)))["regions"]
    assert names == [
        "regions-scores",
        "regions-scales",
        "regions-time",
        "regions-histograms",
        "regions-histograms-more-1",
    ]
    for name in names:
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width > 1200
        root = ElementTree.parse(tmp_path / f"{name}.svg").getroot()
        assert root.tag.endswith("svg")
    assert len(list(tmp_path.iterdir())) == 2 * len(names)


@pytest.mark.slow
def test_features_are_drawn_by_distance_and_without_scales(
    make_summaries: Make, tmp_path: Path
) -> None:
    names = drawn(tmp_path, make_summaries(["a"], ["x"], ("features",)))["features"]
    assert "features-distance" in names
    assert not any(name.endswith(("scales", "time")) for name in names)


def test_awkward_names_are_drawn_as_they_are(make_summaries: Make, tmp_path: Path) -> None:
    drawn(
        tmp_path,
        make_summaries(["_$a_1$", "<b> & $x"], ["x", "y"], ("instances",), only=("recall_50",)),
    )
    for plot in ("instances-scales", "instances-scores", "instances-time"):
        root = ElementTree.parse(tmp_path / f"{plot}.svg").getroot()
        texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
        assert "<b> & $x" in texts
        assert texts & {"_$a_1$", "$a_1$"}


def test_entries_of_equal_colour_differ_in_shape() -> None:
    styles = entry_styles([f"e{i}" for i in range(21)])
    assert len(set(styles.values())) == 21
    assert styles["e0"].colour == styles["e7"].colour == PALETTE[0]


def test_svg_in_the_page_names_nothing_outside_and_has_ids_of_its_own() -> None:
    text = (
        '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "x" "http://www.w3.org/x.dtd">\n'
        '<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" '
        'xmlns="http://www.w3.org/2000/svg"><metadata>http://purl.org</metadata>'
        '<path id="p1" d="M 1.23456 2.5" style="fill: #1f2329"/>'
        '<use xlink:href="#p1" clip-path="url(#c)"/></svg>'
    )
    inline = inline_svg(text, "plot", 'a "title"')
    assert "http" not in inline
    assert 'id="plot-p1" d="M 1.23 2.5" style="fill: var(--ink)"' in inline
    assert 'href="#plot-p1" clip-path="url(#plot-c)"' in inline
    assert inline.startswith('<svg role="img" aria-label="a &quot;title&quot;"')


def test_labels_cover_neither_each_other_nor_points_and_bars() -> None:
    rng = np.random.default_rng(0)
    axes = Figure(figsize=(9, 5)).subplots()
    points = [(float(x), float(y)) for x, y in rng.uniform(0.2, 0.8, size=(14, 2))]
    axes.set(xlim=(0, 1), ylim=(0, 1))
    bars = [(0.5, 0.1, 0.9)]
    boxes = place_labels(axes, points, [f"entry number {i}" for i in range(14)], bars)
    for i, (left, bottom, right, top) in enumerate(boxes):
        for other in boxes[:i]:
            assert right < other[0] or other[2] < left or top < other[1] or other[3] < bottom
        places = axes.transData.transform(points)
        assert not any(left < x < right and bottom < y < top for x, y in places)
        middle = axes.transData.transform((0.5, 0.5))[0]
        assert not left < middle < right or bottom > places[:, 1].max()


@pytest.mark.slow
def test_plots_are_the_same_twice(make_summaries: Make, tmp_path: Path) -> None:
    summaries = make_summaries(["a", "b"], ["x", "y"], ("instances",), only=("recall_50",))
    for run in ("one", "two"):
        drawn(tmp_path / run, summaries)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    assert not re.search(r"\d{4}-\d\d-\d\d", (tmp_path / "one/instances-time.svg").read_text())
