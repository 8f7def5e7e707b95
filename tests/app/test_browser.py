"""The app in a real browser: needs Chromium in PATH, or named by SSS_CHROMIUM."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PATIENCE = 120_000
"""Milliseconds: cores may be busy."""

expect.set_options(timeout=PATIENCE / 4)

CUP = (0.47, 0.3)
"""Shares of width and height."""

# What the program asks other hosts for is refused and written down, whatever library asks.
GUARDED = """
import sys
own = ("127.0.0.1", "::1", "localhost", None, "")
def refuse(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
    elif event == "socket.getaddrinfo":
        address = arguments[:2]
    else:
        return
    if isinstance(address, tuple) and address[0] not in own:
        with open(sys.argv[1], "a") as log:
            print(event, address, file=log)
        raise OSError(f"{event} {address} is refused")
sys.addaudithook(refuse)
from sss.app.serve import main
sys.exit(main(sys.argv[2:]))
"""


class App:
    """The program in another process."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.calls = folder / "calls.txt"
        self.calls.touch()
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-c", GUARDED, str(self.calls), *options],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.temporary), "NO_COLOR": "1"},
        )
        assert self.process.stderr is not None
        self.address = self.process.stderr.readline().split(" ")[0]
        assert self.address.startswith("http://127.0.0.1:"), self.address

    def stop(self) -> str:
        """Stop it as Ctrl-C does, if it has not been stopped; what it said."""
        if self.process.poll() is not None:
            return ""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=60)
        return said

    def files(self) -> list[Path]:
        """What users left; Gradio's receiver of uploads keeps an empty file until the end."""
        found = [
            Path(folder, name)
            for own in self.temporary.glob("sss-app-*")
            for folder, _, names in os.walk(own)  # forgives folders that vanish meanwhile
            for name in names
        ]
        return [path for path in found if os.path.lexists(path) and path.stat().st_size]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, browser_options: dict) -> Iterator[App]:
    running = App(tmp_path_factory.mktemp("app"), "--max-megapixels", "0.3", "--max-upload", "2")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser(browser_options: dict[str, Any]) -> Iterator[Browser]:
    with sync_playwright() as driver:
        started = driver.chromium.launch(**browser_options)
        yield started
        started.close()


@pytest.fixture
def visit(app: App, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page; whatever it asks other hosts for is refused and fails the test."""
    elsewhere: list[str] = []
    errors: list[str] = []
    contexts = []

    def route(handling: Any) -> None:
        url = handling.request.url
        if url.startswith((app.address, "data:", "blob:")):
            handling.continue_()
        else:
            elsewhere.append(url)
            handling.abort()

    def open_page(size: dict[str, int] = WIDE, scheme: str = "light") -> Page:
        context = browser.new_context(viewport=size, color_scheme=scheme)
        context.route("**/*", route)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(app.address)
        page.wait_for_selector(".stage")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not elsewhere
    assert not errors


def take_coffee(page: Page) -> None:
    page.get_by_role("button", name="Take coffee.png").click()
    page.wait_for_selector("#layers input")
    page.wait_for_function("document.querySelector('.stage canvas').width > 400")


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    box = page.locator(".stage canvas").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def pixels(page: Page, kind: str) -> np.ndarray:
    """(H, W, 3) of the picture before or after, as the browser shows it."""
    found = page.evaluate(
        """async (kind) => {
            const image = document.querySelector(`.stage-${kind}`);
            await image.decode();
            const canvas = document.createElement("canvas");
            canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
            const ink = canvas.getContext("2d");
            ink.drawImage(image, 0, 0);
            const data = ink.getImageData(0, 0, canvas.width, canvas.height).data;
            return [canvas.height, canvas.width, Array.from(data)];
        }""",
        kind,
    )
    height, width, values = found
    return np.array(values, float).reshape(height, width, 4)[..., :3]


def set_dial(page: Page, key: str, value: float) -> None:
    """By its number, as the keyboard does."""
    before = page.get_attribute(".stage-after", "src")
    box = page.locator(f"#dial-{key} input[type=number]")
    box.fill(str(value))
    box.press("Enter")
    page.wait_for_function(
        "(before) => document.querySelector('.stage-after').src != before", arg=before
    )


def checked(page: Page) -> list[bool]:
    return [box.is_checked() for box in page.locator("#layers input").all()]


def say(page: Page) -> Any:
    return expect(page.locator("#status"), "the line for people")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_click_the_cup_and_take_the_colour_from_the_rest(
    visit: Callable[..., Page], size: dict[str, int]
) -> None:
    page = visit(size)
    take_coffee(page)
    say(page).to_contain_text("coffee.png, 480 × 320: 5 layers")
    page.mouse.move(*place(page, *CUP))
    expect(page.locator(".stage-tip")).to_contain_text("layer")
    page.mouse.click(*place(page, *CUP))
    page.wait_for_function("document.querySelectorAll('#layers input:checked').length == 1")
    cup = checked(page)
    page.locator("#do-invert").click()
    page.wait_for_function("document.querySelectorAll('#layers input:checked').length == 4")
    assert checked(page) == [not one for one in cup]
    set_dial(page, "saturation", -100)
    before, after = pixels(page, "before"), pixels(page, "after")
    assert before.shape == after.shape == (320, 480, 3)
    row, column = round(CUP[1] * 320), round(CUP[0] * 480)
    inside = np.s_[row - 6 : row + 7, column - 6 : column + 7]
    assert abs(after[inside] - before[inside]).mean() < 3  # JPEG
    corner = np.s_[:20, :20]
    assert np.ptp(before[corner], axis=2).mean() > 10
    assert np.ptp(after[corner], axis=2).mean() < 3
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    page.locator("#do-undo").click()
    expect(page.locator("#dial-saturation input[type=number]")).to_have_value("0")


def test_the_number_of_layers_is_live(visit: Callable[..., Page]) -> None:
    page = visit()
    take_coffee(page)
    slider = page.get_by_role("slider", name="Number of layers")
    slider.focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#layers input")).to_have_count(3)
    page.get_by_label("auto").check()
    say(page).to_contain_text("auto:")
    page.mouse.click(*place(page, *CUP))
    page.mouse.move(*place(page, 0.05, 0.05))
    page.keyboard.down("Shift")
    page.mouse.click(*place(page, 0.05, 0.05))
    page.keyboard.up("Shift")
    page.wait_for_function("document.querySelectorAll('#layers input:checked').length == 2")
    count = page.locator("#layers input").count()
    page.locator("#do-merge").click()
    expect(page.locator("#layers input")).to_have_count(count - 1)
    page.locator("#do-undo").click()
    expect(page.locator("#layers input")).to_have_count(count)


def test_export_a_psd(visit: Callable[..., Page], tmp_path: Path) -> None:
    from psd_tools import PSDImage

    page = visit()
    take_coffee(page)
    page.get_by_role("checkbox", name="layer 1").check()
    say(page).to_contain_text("Selected: layer 1")
    set_dial(page, "exposure", 1)
    page.get_by_role("button", name="Export", exact=False).first.click()
    page.get_by_label("What").click()
    page.get_by_role("option", name="PSD").click()
    page.locator("#export").click()
    say(page).to_contain_text("coffee.psd is ready")
    with page.expect_download() as download:
        page.locator("#made a").first.click()
    download.value.save_as(tmp_path / "coffee.psd")
    psd = PSDImage.open(tmp_path / "coffee.psd")
    assert (psd.width, psd.height) == (480, 320)
    assert len(list(psd)) == 5
    flat = np.asarray(psd.topil().convert("RGB"), float)
    assert abs(flat - pixels(page, "after")).mean() < 3


def test_what_is_no_photo_or_too_large_is_said_in_a_line(
    visit: Callable[..., Page], tmp_path: Path
) -> None:
    page = visit()
    text, large = tmp_path / "notes.txt", tmp_path / "large.png"
    text.write_text("no photo")
    Image.new("RGB", (800, 600)).save(large)
    chooser = page.locator("#upload input[type=file]")
    chooser.set_input_files(text)
    say(page).to_contain_text("notes.txt is not of a supported kind; expected a file ending in")
    chooser.set_input_files(large)
    say(page).to_contain_text("large.png has 800 × 600 pixels, 0.5 megapixels; expected at most")
    heavy = tmp_path / "heavy.png"
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 12), np.uint8)
    Image.fromarray(noise.reshape(1000, 1000, 3)).save(heavy)
    chooser.set_input_files(heavy)
    expect(page.get_by_text("exceed the maximum allowed size of 2.0 Mb")).to_be_visible()
    page.reload()
    page.wait_for_selector(".stage")
    page.locator("#upload input[type=file]").set_input_files(ROOT / "docs/examples/coffee.png")
    say(page).to_contain_text("coffee.png, 480 × 320: 5 layers")


def test_the_keyboard_reaches_everything(visit: Callable[..., Page]) -> None:
    page = visit()
    take_coffee(page)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """() => { const e = document.activeElement;
                const name = e.getAttribute("aria-label") || e.innerText || e.type || "";
                const seen = getComputedStyle(e).outlineStyle != "none";
                return (seen ? "" : "unseen ") + name.trim().split("\\n")[0]; }"""
            )
        )
    for name in ("Layers", "Compare", "Add by click", "Merge", "Invert", "Colour", "Export"):
        assert name in reached, sorted(reached)
    page.get_by_role("checkbox", name="layer 0").focus()
    page.keyboard.press("Space")
    say(page).to_contain_text("Selected: layer 0")
    page.get_by_role("button", name="Compare").focus()
    page.keyboard.press("Enter")
    page.locator(".stage-wipe").focus()
    page.keyboard.press("Home")
    assert page.evaluate("document.querySelector('.stage-before').style.clipPath").startswith(
        "inset(0px 100%"
    )


def test_users_do_not_see_one_another(visit: Callable[..., Page]) -> None:
    one, other = visit(), visit(NARROW, "dark")
    take_coffee(one)
    one.get_by_role("checkbox", name="layer 0").check()
    say(one).to_contain_text("Selected: layer 0")
    say(other).to_contain_text("Take a photo to begin with")
    other.get_by_role("checkbox", name="auto").check()
    say(other).to_contain_text("there is no photo yet")


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_no_file_outside_is_served(visit: Callable[..., Page], app: App, tmp_path: Path) -> None:
    page = visit()
    take_coffee(page)
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    beside = app.temporary / "beside.txt"
    beside.write_text("secret")
    for path in ("/etc/passwd", ROOT / "pyproject.toml", secret, beside, "../../etc/passwd"):
        assert status_of(f"{app.address}gradio_api/file={path}") in (403, 404), path
    beside.unlink()
    listed = json.loads(urllib.request.urlopen(f"{app.address}gradio_api/info").read())
    assert listed["named_endpoints"] == {}
    assert listed["unnamed_endpoints"] == {}


def test_nothing_is_called_and_nothing_is_left(
    browser: Browser, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    app = App(tmp_path, str(ROOT / "docs/examples/coffee.png"))
    request.addfinalizer(app.stop)
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(app.address)
    say(page).to_contain_text("coffee.png, 480 × 320: 5 layers", timeout=PATIENCE)  # the first one
    upload = page.locator("#upload input[type=file]")
    upload.set_input_files(ROOT / "docs/examples/cat.png")
    say(page).to_contain_text("cat.png", timeout=PATIENCE)
    assert [path.name for path in app.files()] == ["cat.png"]
    page.close()
    until = time.monotonic() + PATIENCE / 1000
    while app.files() and time.monotonic() < until:
        time.sleep(0.2)
    assert app.files() == []
    said = app.stop()
    assert app.process.returncode == 0
    assert said == ""
    # Nothing at all: ONNX Runtime's telemetry would have left its session's number, too.
    assert list(app.temporary.iterdir()) == []
    assert app.calls.read_text() == ""
