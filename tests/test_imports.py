"""Libraries that are kept from being loaded."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from sss.imports import not_installed


def test_a_library_is_hidden_where_it_is_not_loaded_yet_and_only_for_a_while(
    tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "made_for_this_test.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    load = importlib.import_module
    with not_installed("made_for_this_test"), pytest.raises(ModuleNotFoundError):
        load("made_for_this_test")
    module = load("made_for_this_test")
    with not_installed("made_for_this_test"):
        assert load("made_for_this_test") is module


# --- torch's compiler: each in a Python of its own, where it is not loaded yet ------------------


def run(code: str) -> str:
    start = "import sys; from sss.imports import compiler_on_demand\n"
    line = [sys.executable, "-c", start + code]
    folder = Path(__file__).parents[1]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_marking_functions_does_not_load_the_compiler() -> None:
    printed = run(
        "import torch\n"
        "with compiler_on_demand():\n"
        "    import torchvision\n"
        "    plain = torch.compiler.disable(lambda x: x + 1)\n"
        "    named = torch.compiler.disable(reason='none')(lambda x: x + 2)\n"
        "print(plain(1), named(1), 'torch._dynamo' in sys.modules)"
    )
    assert printed.split() == ["2", "3", "False"]


def test_afterwards_the_compiler_is_there() -> None:
    printed = run(
        "import torch\n"
        "with compiler_on_demand():\n"
        "    from torchvision.ops import roi_align\n"
        "box = torch.tensor([[0.0, 0, 0, 3, 3]])\n"
        "print(roi_align(torch.ones(1, 1, 4, 4), box, 1, aligned=True).item())\n"
        "print(sys.modules[roi_align.__module__].is_compile_supported('cpu') in (True, False))\n"
        "print(torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)).item())"
    )
    assert printed.split() == ["1.0", "True", "2.0"]


def test_what_the_stand_in_does_not_know_loads_the_compiler_at_once() -> None:
    printed = run(
        "import torch\n"
        "with compiler_on_demand():\n"
        "    import torch._dynamo as compiler\n"
        "    print(callable(compiler.optimize), sys.modules['torch._dynamo'] is compiler)\n"
        "import torch._dynamo\n"
        "print(torch._dynamo.optimize is compiler.optimize)"
    )
    assert printed.split() == ["True", "False", "True"]


def test_a_part_of_the_compiler_may_be_imported() -> None:
    printed = run(
        "import torch\n"
        "with compiler_on_demand():\n"
        "    from torchvision.ops import roi_align\n"
        "    import torch._dynamo.config\n"
        "print(callable(torch._dynamo.optimize), torch._dynamo.config.disable)"
    )
    assert printed.split() == ["True", "False"]


def test_what_needs_the_compiler_gets_it_at_once() -> None:
    printed = run(
        "import torch\n"
        "with compiler_on_demand():\n"
        "    from torch._dynamo.utils import is_compile_supported\n"
        "    print(is_compile_supported('cpu') in (True, False))\n"
        "    print(torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)).item())"
    )
    assert printed.split() == ["True", "2.0"]
