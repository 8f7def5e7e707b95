"""The report in a real browser: needs Chromium in PATH, or named by SSS_CHROMIUM."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright

from sss.evaluation.records import Record
from sss.evaluation.run_info import RunInfo

AWKWARD = "<b>&'\".jpg"
PHOTOS = ["p1", "p2", "p10", AWKWARD, "p3"]
ENTRIES = ["SSS · small_cpu", "k-means on features · small_cpu", "Felzenszwalb–Huttenlocher"]
pytestmark = pytest.mark.slow

SIZES = {"wide": (1400, 900), "narrow": (420, 800)}


@pytest.fixture(scope="module")
def browser(
    tmp_path_factory: pytest.TempPathFactory, browser_options: dict[str, Any]
) -> Iterator[BrowserContext]:
    with sync_playwright() as driver:
        profile = tmp_path_factory.mktemp("profile")
        context = driver.chromium.launch_persistent_context(profile, **browser_options)
        yield context
        context.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture
def address(
    report: Path,
    make_records: Callable[..., list[Record]],
    make_report: Callable,
    run_info: RunInfo,
) -> str:
    page = report / "report/index.html"
    if not page.exists():  # one report serves all tests
        records = make_records(ENTRIES, PHOTOS, ("regions",), seed=4)
        make_report(report / "report", records, run_info, records)
    return page.as_uri()


@pytest.fixture
def page(browser: BrowserContext, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The report's page; nothing may go wrong on it and nothing may be fetched."""
    width, height = SIZES[getattr(request, "param", "wide")]
    page = browser.new_page()
    page.set_default_timeout(10_000)
    page.set_viewport_size({"width": width, "height": height})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(("file:", "data:")) else problems.append(asked.url)
        ),
    )
    page.goto(address)
    yield page
    page.close()
    assert problems == []


both_sizes = pytest.mark.parametrize("page", SIZES, indirect=True)


@both_sizes
def test_body_does_not_scroll_sideways(page: Page) -> None:
    for details in page.locator("details").all():
        details.locator("summary").click()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]  # type: ignore[index]
    assert page.locator("h1").inner_text() == "Evaluation on bsds500, val"


@pytest.mark.parametrize("page", ["narrow"], indirect=True)
def test_entries_stay_in_sight_while_a_table_scrolls(page: Page) -> None:
    place = "document.querySelector('tbody .entry').getBoundingClientRect().left"
    before = page.evaluate(place)
    moved = page.evaluate("(() => { const box = document.querySelector('.scroll');"
                          " box.scrollLeft = 300; return box.scrollLeft })()")  # fmt: skip
    assert moved == 300
    assert page.evaluate(place) == before


@both_sizes
def test_text_is_large_enough(page: Page) -> None:
    for details in page.locator("details").all():
        details.locator("summary").click()
    sizes = page.evaluate("""() => {
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const found = {};
        while (walker.nextNode()) {
            const parent = walker.currentNode.parentElement;
            if (!walker.currentNode.data.trim() || parent.closest("script")) continue;
            const drawn = parent.closest("svg");
            const scale = drawn ? drawn.getScreenCTM().a : 1;
            const size = parseFloat(getComputedStyle(parent).fontSize) * scale;
            found[walker.currentNode.data.trim()] = size;
        }
        return found;
    }""")
    assert len(sizes) > 100
    assert {text: size for text, size in sizes.items() if size < 13.99} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    colours = page.evaluate("""() => Object.fromEntries(["paper", "raised", "ink", "muted",
        "accent"].map((name) => [name,
        getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim()]))""")

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for text in ("ink", "muted", "accent"):
        for ground in ("paper", "raised"):
            bright, dim = sorted((luminance(colours[n]) for n in (text, ground)), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (text, ground)
    body = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, body[4:-1].split(","))) > 600) == (scheme == "light")


def column(page: Page, place: int) -> list[float]:
    cells = page.locator("#regions table").first.locator(f"tbody tr > :nth-child({place + 1})")
    return [float(cell.get_attribute("data-value") or "nan") for cell in cells.all()]


@both_sizes
def test_headings_sort_by_click_and_by_key(page: Page) -> None:
    table = page.locator("#regions table").first
    covering, vi = (table.locator(f".sort[data-column='{place}']") for place in (1, 5))
    head = covering.locator("xpath=..")
    covering.click()
    assert head.get_attribute("aria-sort") == "descending"  # the best first
    assert column(page, 1) == sorted(column(page, 1), reverse=True)
    covering.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 1) == sorted(column(page, 1))
    vi.press("Space")
    assert head.get_attribute("aria-sort") == "none"
    assert vi.locator("xpath=..").get_attribute("aria-sort") == "ascending"
    assert column(page, 5) == sorted(column(page, 5))
    table.locator(".sort[data-column='0']").click()
    names = table.locator("tbody .entry").all_inner_texts()
    assert names == sorted(ENTRIES, key=str.casefold)


def test_reference_of_the_paired_tests_switches(page: Page) -> None:
    shown = page.locator("#regions .test:visible")
    assert shown.locator("tbody .entry").all_inner_texts() == ENTRIES[1:]
    page.locator("#regions .reference").select_option(label=ENTRIES[2])
    assert shown.count() == 1
    assert shown.locator("tbody .entry").all_inner_texts() == ENTRIES[:2]


def cards(page: Page) -> list[tuple[str, list[float]]]:
    return page.evaluate("""[...document.querySelectorAll("#regions-gallery .card")].map(
        (card) => [card.dataset.name, JSON.parse(card.dataset.values)])""")


@both_sizes
def test_gallery_orders_by_value_name_and_difference(page: Page) -> None:
    def means() -> list[float]:
        return [sum(values) / 3 for _, values in cards(page)]

    order = page.locator("#regions-gallery .order")
    assert means() == sorted(means())
    order.select_option("best")
    assert means() == sorted(means(), reverse=True)
    page.locator("#regions-gallery .judge").select_option("2")
    assert [v[2] for _, v in cards(page)] == sorted((v[2] for _, v in cards(page)), reverse=True)
    order.select_option("name")
    assert [name for name, _ in cards(page)] == [AWKWARD, "p1", "p2", "p3", "p10"]
    assert page.locator("#regions-gallery .judge").is_hidden()
    order.select_option("spread")
    page.locator("#regions-gallery .second").select_option("2")
    ahead = [values[0] - values[2] for _, values in cards(page)]
    assert ahead == sorted(ahead, reverse=True)


@both_sizes
def test_pictures_enlarge_and_arrows_go_on(page: Page) -> None:
    dialog, what = page.locator("dialog"), page.locator("dialog .what")
    first = cards(page)[0][0]
    page.locator("#regions-gallery .open").nth(2).click()
    assert dialog.is_visible()
    assert what.inner_text() == f"{first} · {ENTRIES[0]}"
    assert "covering 0." in page.locator("dialog .detail").inner_text()
    assert page.evaluate("document.querySelector('dialog img').naturalWidth") == 48
    page.keyboard.press("ArrowRight")
    assert what.inner_text() == f"{first} · {ENTRIES[1]}"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert what.inner_text() == f"{first} · Truth"
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.locator("#regions-gallery .open").first.click()
    page.locator("dialog .back").click()
    assert what.inner_text() == f"{cards(page)[-1][0]} · {ENTRIES[2]}"
    page.locator("dialog .close").click()
    assert not dialog.is_visible()


def test_every_picture_of_the_gallery_can_be_read(page: Page) -> None:
    widths = page.evaluate("""Promise.all([...document.querySelectorAll(".open img")].map(
        async (img) => { img.loading = "eager"; await img.decode(); return img.naturalWidth; }))""")
    assert widths == [48] * len(PHOTOS) * (2 + len(ENTRIES))
