"""What the distribution promises: dependencies, commands, files that ship."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import torch

import sss
from sss.console import run_main
from sss.resources import shipped_folder
from sss.splitter import Splitter

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]

FOUND_AT_RUN_TIME = {"pypardiso"}
"""Optional libraries, used where somebody installed them."""

BY_OTHERS = {
    "imagecodecs",  # tifffile's decoders
    "onnxscript",  # torch.onnx's translator
}
"""Distributions that are declared because a library that is imported needs them for our use."""


def _distribution(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def _imported(file: Path) -> set[str]:
    """Top-level packages that a file imports anywhere, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_requirements_are_those_of_pyproject() -> None:
    command = [sys.executable, REPOSITORY / ".ci" / "requirements.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_imports_and_dependencies_are_the_same() -> None:
    groups = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    declared = {
        _distribution(requirement)
        for group, requirements in groups.items()
        for requirement in requirements
        if group != "dev" and not requirement.startswith(PROJECT["name"])
    }
    files = [file for folder in ("sss", "data") for file in (REPOSITORY / folder).rglob("*.py")]
    packages = set().union(*map(_imported, files)) - sys.stdlib_module_names
    installed = packages_distributions()
    needed = {
        _distribution(installed.get(package, [package])[0])
        for package in packages - {"sss"} - FOUND_AT_RUN_TIME
    }
    assert needed | BY_OTHERS == declared


@pytest.mark.parametrize("command", PROJECT["scripts"])
def test_command_can_be_called(command: str) -> None:
    module, function = PROJECT["scripts"][command].split(":")
    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("configs", "small_cpu.yaml"),
        ("checkpoints", "hypercolumn_efficientnet_lite2.safetensors"),
        ("checkpoints", "hypercolumn_efficientnet_lite2.json"),
        ("checkpoints", "grouping.json"),
    ],
)
def test_files_that_ship_are_found(folder: str, file: str) -> None:
    assert (shipped_folder(folder) / file).is_file()


def test_torch_hub_opens_a_splitter() -> None:
    splitter = torch.hub.load(str(REPOSITORY), "splitter", source="local", device="cpu")
    assert isinstance(splitter, Splitter)
    assert splitter.device == "cpu"


@pytest.mark.slow
def test_torch_hub_asks_for_what_the_core_needs() -> None:
    import hubconf

    installed = packages_distributions()
    asked = {_distribution(installed[package][0]) for package in hubconf.dependencies}
    assert asked == {_distribution(requirement) for requirement in PROJECT["dependencies"]}


def test_papers_name_the_version() -> None:
    assert f"\n## [{sss.__version__}]" in (REPOSITORY / "CHANGELOG.md").read_text()
    assert f"\nversion: {sss.__version__}\n" in (REPOSITORY / "CITATION.cff").read_text()


def test_command_names_the_extra_that_it_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise ModuleNotFoundError("No module named 'accelerate'", name="accelerate")

    assert run_main(work) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "accelerate" in said
    assert "semantic-soft-segmentation[train,eval]" in said


def test_own_module_that_is_missing_is_no_users_mistake() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"sss\.nowhere"):
        run_main(lambda: bool(import_module("sss.nowhere")))


def test_papers_name_files_that_are_there() -> None:
    a_path = re.compile(r"`((?:sss|data|tests|benchmarks|configs|docs)/[\w./]+)`")
    papers = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    named = {path for paper in papers for path in a_path.findall(paper.read_text())}
    assert len(named) > 20
    assert not [path for path in named if not (REPOSITORY / path).exists()]
