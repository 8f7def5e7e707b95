from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sss.evaluation.records import Record
from sss.evaluation.report.glossary import GROUP_TEXTS, explain
from sss.evaluation.run_info import RunInfo
from sss.evaluation.summary import HEADLINES
from sss.metrics.catalogue import METRICS

Make = Callable[..., list[Record]]
AWKWARD = "<b>&'\".jpg"


class Page(HTMLParser):
    """Checks that tags close in order; gathers ids, links and text."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        assert not self.stack

    def handle_starttag(self, tag: str, attributes: list) -> None:
        if tag not in self.VOID:
            self.stack.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in {"href", "src", "xlink:href"}:
                self.links.append(value)

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        self.handle_starttag(tag, attributes)
        self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


@pytest.mark.parametrize(
    ("entries", "photos", "groups"),
    [
        pytest.param(["a", "b"], ["x", "y"], ("regions", "mattes"), marks=pytest.mark.slow),
        (["only"], ["x"], ("regions",)),
        pytest.param(["features"], ["x", "y"], ("features",), marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_report_of_any_mix_is_whole_and_needs_nothing_else(
    entries: list[str],
    photos: list[str],
    groups: tuple[str, ...],
    make_records: Make,
    make_report: Callable,
    run_info: RunInfo,
    tmp_path: Path,
) -> None:
    records = make_records(entries, photos, groups)
    make_report(tmp_path / "report", records, run_info, records)
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"index.html", "results.csv", "results.json", "plots"}
    text = (tmp_path / "report/index.html").read_text()
    assert "http:" not in text
    assert "https:" not in text
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert link.startswith("data:") or link.removeprefix("#") in page.ids
    for group in groups:
        assert any(GROUP_TEXTS[group] in line for line in page.texts)  # type: ignore[index]
    assert run_info.facts["Command"] in page.texts


@pytest.mark.slow
def test_names_are_shown_as_they_are(
    make_records: Make, make_report: Callable, run_info: RunInfo, tmp_path: Path
) -> None:
    records = make_records(["</script>&lt;", "b"], [AWKWARD, "y"])
    pictures = [record for record in records if record.photo == "y"]
    make_report(tmp_path / "report", records, run_info, pictures)
    page = Page((tmp_path / "report/index.html").read_text())
    assert "</script>&lt;" in page.texts
    assert AWKWARD in page.texts


@pytest.mark.slow
def test_missing_photos_are_told_at_the_top(
    make_records: Make, make_report: Callable, tmp_path: Path
) -> None:
    records = make_records(["a", "b"], ["x", "y"]) + make_records(["c"], ["x"])
    run = RunInfo("bsds500", "val", 2, {"Date": "today"}, {"c": ["y"]})
    make_report(tmp_path / "report", records, run, records)
    page = Page((tmp_path / "report/index.html").read_text())
    assert "c lacks 1 of 2 photos: y" in page.texts
    assert "1 of 2 photos" in page.texts  # in its row


def test_every_metric_of_the_main_tables_is_explained() -> None:
    for group, names in HEADLINES.items():
        assert all(METRICS[name].group == group for name in names)
        assert len(explain(names)) == len(names)
