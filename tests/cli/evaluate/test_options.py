"""The command line of evaluate.py."""

import subprocess
import sys
from pathlib import Path

import pytest

from sss.cli.evaluate_options import layer_counts, parse_options
from sss.errors import InputError

REPOSITORY = Path(__file__).parents[3]


def test_defaults() -> None:
    options = parse_options(["--data", "bsds500"])
    assert (options.data, options.split, options.out) == ("bsds500", "val", Path("report"))
    assert options.config == options.checkpoint == options.features == options.encoder == []
    assert (options.method, options.layers, options.photos, options.max_side) == (
        [],
        None,
        None,
        None,
    )
    assert (options.jobs, options.seed, options.device, options.wandb) == (1, 0, "auto", "auto")
    assert options.cache == Path("runs/cache")


def test_models_and_methods_are_kept_in_their_order() -> None:
    line = "--data d --config a --config b --features x --features lab --encoder e=f --method m"
    options = parse_options([*line.split(), "--method", "k", "--checkpoint", "c"])
    assert options.config == ["a", "b"]
    assert options.features == ["x", "lab"]
    assert options.encoder == ["e=f"]
    assert options.method == ["m", "k"]
    assert options.checkpoint == [Path("c")]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("2-5", (2, 3, 4, 5)),
        ("5", (5,)),
        ("8,2,3", (2, 3, 8)),
        ("2-4,3,10-11", (2, 3, 4, 10, 11)),
        ("1-40", tuple(range(1, 41))),
    ],
)
def test_numbers_of_layers(text: str, counts: tuple[int, ...]) -> None:
    assert layer_counts(text) == counts


@pytest.mark.parametrize("text", ["", "0-3", "5-2", "2,", "two", "2-", "-3", "2-41", "2.5", "2--4"])
def test_numbers_of_layers_that_make_no_sense(text: str) -> None:
    with pytest.raises(InputError, match=f"--layers is '{text}', expected counts from 1 to 40"):
        layer_counts(text)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "nothing to do; give a data set"),
        ("--split val", "the following arguments are required: --data (--help lists"),
        ("--data d -j 0", "-j is 0, expected 1 or more"),
        ("--data d --seed -1", "--seed is -1, expected 0 to 4294967295"),
        ("--data d --photos 0", "--photos is 0, expected 1 or more"),
        ("--data d --max-side 15", "--max-side is 15, expected 16 or more pixels"),
        ("--data d --device tpu", "argument --device: invalid choice: 'tpu'"),
        ("--data d --wandb maybe", "argument --wandb: invalid choice: 'maybe'"),
        ("--data d --nonsense", "unrecognized arguments: --nonsense (--help lists"),
        ("--data d --meth sss", "unrecognized arguments: --meth sss"),
    ],
)
def test_bad_usage(line: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_options(line.split())
    assert str(raised.value).startswith(said)


@pytest.mark.slow
def test_parsing_imports_nothing_heavy() -> None:
    code = (
        "import sys, sss.cli.evaluate_options as o; o.parse_options(['--data', 'd']); "
        "print(sorted({'torch', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_help_lists_options_and_methods(capsys: pytest.CaptureFixture[str]) -> None:
    from sss.evaluation.methods.registry import METHODS

    with pytest.raises(SystemExit) as stop:
        parse_options(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    named = "config checkpoint features encoder runs data split labels root folder photos max-side"
    named += " method layers weights only-every seed device cache wandb project out"
    for option in named.split():
        assert f"--{option}" in shown
    for method in METHODS.values():
        assert f"{method.name} " in shown
        assert method.title in shown
