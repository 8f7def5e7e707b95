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

from sss.resources import shipped_folder

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


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


def test_every_import_is_declared() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    declared = {_distribution(requirement) for group in groups for requirement in group}
    installed = packages_distributions()
    undeclared = {
        f"{file.relative_to(REPOSITORY)}: {package}"
        for folder in ("sss", "data")
        for file in (REPOSITORY / folder).rglob("*.py")
        for package in _imported(file) - sys.stdlib_module_names - {"sss"}
        if not {_distribution(name) for name in installed.get(package, [package])} & declared
    }
    assert not undeclared


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
    ],
)
def test_files_that_ship_are_found(folder: str, file: str) -> None:
    assert (shipped_folder(folder) / file).is_file()
