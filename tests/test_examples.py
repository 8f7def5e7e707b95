"""The examples of public docstrings and of the quick start run as they stand."""

import doctest
import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import sss
import sss.editing
import sss.image
import sss.layers

REPOSITORY = Path(__file__).parents[1]
PAGES = ("README.md", "docs/faq.md", pytest.param("docs/quickstart.md", marks=pytest.mark.slow))
FRONT_DOOR = (sss.Splitter, sss.Scene, sss.Layers)


def _modules() -> list[str]:
    rooms = [
        module.name
        for room in (sss.editing, sss.image, sss.layers)
        for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")
    ]
    return ["sss", "sss.errors", "sss.scene", "sss.splitter", "sss.spectral.settings", *rooms]


def _examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for name in _modules() for test in finder.find(import_module(name), name)]


@pytest.fixture
def example_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that looks like the repository, with small copies of its photos."""
    examples = tmp_path / "docs" / "examples"
    examples.mkdir(parents=True)
    for photo in (REPOSITORY / "docs" / "examples").glob("*.png"):
        Image.open(photo).resize((96, 64), Image.Resampling.BOX).save(examples / photo.name)
    (tmp_path / "checkpoints").symlink_to(REPOSITORY / "checkpoints")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _speed(example: doctest.DocTest) -> Any:
    """Scenes take a second or two; the split of one photo stays among the quick tests."""
    return pytest.mark.slow if "prepare(" in (example.docstring or "") else ()


@pytest.mark.usefixtures("example_folder")
@pytest.mark.parametrize(
    "example", [pytest.param(e, id=e.name, marks=_speed(e)) for e in _examples()]
)
@pytest.mark.slow
def test_docstring(example: doctest.DocTest) -> None:
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert result.failed == 0, "".join(said)


@pytest.mark.usefixtures("example_folder")
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.slow
def test_page(page: str) -> None:
    """The Python blocks of a page, one after the other, as a reader would enter them."""
    text = (REPOSITORY / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_every_public_name_has_an_example() -> None:
    names = {name: getattr(sss, name) for name in sss.__all__ if name != "__version__"}
    for thing in FRONT_DOOR:
        for key, member in vars(thing).items():
            if not key.startswith("_") and callable(getattr(thing, key, None)):
                names[f"{thing.__name__}.{key}"] = member
    missing = [name for name, thing in names.items() if ">>>" not in (inspect.getdoc(thing) or "")]
    assert not missing
