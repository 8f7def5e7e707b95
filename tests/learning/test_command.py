import os
import subprocess
import sys
from pathlib import Path

import pytest

import train
from sss.cli import run_main
from sss.errors import InputError
from sss.learning.command import CONFIG_DIR, SWEEP, find_config, parse_command
from sss.learning.config import SourceConfig, TrainConfig, check_config
from sss.learning.keys import known_keys, unknown_key

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path: Path):
    def write_config(text: str) -> str:
        (tmp_path / "own.yaml").write_text(text)
        return str(tmp_path / "own.yaml")

    return write_config


def refused(*arguments: str) -> str:
    """The one line with which the arguments are refused."""
    with pytest.raises(InputError) as error:
        parse_command(list(arguments))
    text = str(error.value)
    assert "\n" not in text
    assert "<class" not in text
    return text


# --- what is accepted -----------------------------------------------------------------------------


CONFIGS = [path for path in sorted(CONFIG_DIR.glob("*.yaml")) if path != SWEEP]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configs_of_the_project_are_valid(path: Path) -> None:
    config = parse_command(["--config", path.name]).config
    assert config.name == path.stem


def test_configs_are_found_as_given_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("smoke") == find_config("smoke.yaml") == CONFIG_DIR / "smoke.yaml"
    (tmp_path / "smoke.yaml").write_text("name: mine")
    assert parse_command(["--config", "smoke.yaml"]).config.name == "mine"


def test_command_line_over_later_over_earlier_config(write) -> None:
    own = write("optim: {lr: 0.5, batch: 3}\ndata: {crop: 96}")
    config = parse_command(
        ["--config", "smoke", "--config", own, "--optim.batch", "7", "--optim.clip=2"]
    ).config
    assert config.optim.batch == 7
    assert config.optim.clip == 2.0
    assert config.optim.lr == 0.5
    assert config.data.crop == 96
    assert config.optim.steps == 60  # of smoke.yaml
    assert config.optim.power == 0.9  # the default


def test_keys_before_the_config_win_too(write) -> None:
    config = parse_command(["--optim.batch", "7", "--config", write("optim: {batch: 3}")]).config
    assert config.optim.batch == 7


def test_numbers_in_scientific_notation(write) -> None:
    config = parse_command(["--config", write("optim: {lr: 1e-4}"), "--optim.clip", "1e1"]).config
    assert config.optim.lr == 1e-4
    assert config.optim.clip == 10.0


def test_lists_of_sources(write) -> None:
    own = write("data: {sources: [{name: scenes, weight: 2}, {name: bsds500, split: val}]}")
    expected = [SourceConfig("scenes", 2.0), SourceConfig("bsds500", split="val")]
    assert parse_command(["--config", own]).config.data.sources == expected
    given = "[{name: scenes, weight: 0.25}]"
    config = parse_command(["--config", own, "--data.sources", given]).config
    assert config.data.sources == [SourceConfig("scenes", 0.25)]


def test_lists_of_numbers() -> None:
    arguments = ["--config", "smoke", "--model.decoder_channels", "[5, 4, 3, 2, 1]"]
    assert parse_command(arguments).config.model.decoder_channels == [5, 4, 3, 2, 1]


def test_run_folder() -> None:
    command = parse_command(["--config", "smoke", "--name", "mine"])
    assert command.run_dir.parent == Path("runs")
    assert command.run_dir.name.startswith("mine-20")
    assert not command.resume
    chosen = parse_command(["--config", "smoke", "--run_dir", "there/run"])
    assert chosen.run_dir == Path("there/run")


def test_resume_needs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: old\noptim: {lr: 0.5, steps: 9}")
    command = parse_command(["--resume", str(tmp_path)])
    assert command.resume
    assert command.run_dir == tmp_path
    assert command.config.name == "old"
    longer = parse_command(["--resume", str(tmp_path), "--optim.steps", "20"]).config.optim
    assert (longer.lr, longer.steps) == (0.5, 20)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_command(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for key in ("--optim.lr", "--data.sources", "--model.dim", "--resume", "--run_dir"):
        assert key in shown


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("optim.stepz", "optim.steps"),
        ("optim.learning_rate", None),
        ("optm.lr", "optim.lr"),
        ("nme", "name"),
        ("model.batch", "optim.batch"),
        ("crop", "data.crop"),
        ("data.sources.weigth", "data.sources.weight"),
        ("zzz", None),
    ],
)
def test_nearest_key(given: str, meant: str | None) -> None:
    text = unknown_key(given, TrainConfig)
    assert given in text
    assert (f"did you mean {meant}?" if meant else "--help") in text


def test_known_keys() -> None:
    keys = known_keys(TrainConfig)
    assert {"name", "optim", "optim.lr", "data.sources", "data.sources.weight"} <= set(keys)
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("argument", ["--optim.stepz=3", "--optim.stepz"])
def test_unknown_key_on_the_command_line(argument: str) -> None:
    text = refused("--config", "smoke", argument, *([] if "=" in argument else ["3"]))
    assert text == "there is no key optim.stepz; did you mean optim.steps?"


def test_unknown_key_in_a_section_on_the_command_line() -> None:
    text = refused("--config", "smoke", "--data.sources", "[{name: scenes, weigth: 2}]")
    assert text == "there is no key data.sources.weigth; did you mean data.sources.weight?"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("optim: {stepz: 3}", "there is no key optim.stepz; did you mean optim.steps?"),
        ("lr: 3", "there is no key lr; did you mean optim.lr?"),
        ("3: 4", "there is no key 3"),
        ("data: {sources: [{nam: scenes}]}", "data.sources.nam; did you mean data.sources.name?"),
        ("optim: 3", "optim is 3, expected keys with values (name, lr,"),
        ("data: {sources: [scenes]}", "data.sources is 'scenes', expected keys"),
        ("optim:", "optim is None, expected keys"),
        ("- 1", "the file is [1], expected keys"),
        ("# only words", "the file is None, expected keys"),
        ("optim: {steps: [", "is not a YAML file"),
        ("a: b: c", "is not a YAML file"),
    ],
)
def test_bad_files_are_named(write, text: str, problem: str) -> None:
    own = write(text)
    message = refused("--config", own)
    assert message.startswith(own)
    assert problem in message


def test_binary_file(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)))
    assert "photo.jpg is not a YAML file" in refused("--config", str(tmp_path / "photo.jpg"))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("optim.steps", "abc", "a whole number"),
        ("optim.steps", "1.5", "a whole number"),
        ("optim.lr", "fast", "a number"),
        ("data.sources", "scenes", "a list"),
        ("model.decoder_channels", "[1, 2, x, 3, 4]", "a whole number"),
    ],
)
def test_wrong_types(write, key: str, value: str, expected: str) -> None:
    section, _, leaf = key.partition(".")
    for text in (
        refused("--config", "smoke", f"--{key}", value),
        refused("--config", write(f"{section}: {{{leaf}: {value}}}")),
    ):
        assert text.startswith(f"{key} is ")
        assert text.endswith(f"expected {expected}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optim.steps", "0"),
        ("optim.lr", "-0.001"),
        ("optim.lr", ".nan"),
        ("optim.lr", ".inf"),
        ("optim.head_factor", "0"),
        ("optim.batch", "0"),
        ("optim.clip", "-1"),
        ("optim.warmup", "-1"),
        ("optim.power", "-0.5"),
        ("optim.weight_decay", "-1"),
        ("optim.name", "adam"),
        ("data.crop", "63"),
        ("data.colour", "1.5"),
        ("data.colour", "-0.1"),
        ("data.workers", "-1"),
        ("data.validation_photos", "0"),
        ("data.sources", "[]"),
        ("data.sources", "[{name: scenes, weight: 0}]"),
        ("data.sources", "[{name: scenes, weight: .nan}]"),
        ("loss.labels_per_photo", "1"),
        ("loss.pixels_per_label", "0"),
        ("log.every", "0"),
        ("log.validate_every", "-5"),
        ("log.wandb", "maybe"),
        ("seed", "-1"),
        ("threads", "-1"),
    ],
)
def test_impossible_values(key: str, value: str) -> None:
    text = refused("--config", "smoke", f"--{key}", value)
    assert text.startswith(key)
    assert "expected" in text


def test_default_config_is_possible() -> None:
    check_config(TrainConfig())


def test_other_mistakes(tmp_path: Path) -> None:
    assert "usage: train.py --config NAME" in refused()
    assert "'foo' is not an option" in refused("--config", "smoke", "foo")
    assert refused("--config", "smoke", "--optim.lr").startswith("optim.lr stands there without")
    assert "expected one argument" in refused("--config")
    assert "expected one argument" in refused("--resume")
    text = refused("--config", "nowhere")
    assert "no config 'nowhere'" in text
    assert "smoke.yaml" in text
    assert "no config.yaml" in refused("--resume", str(tmp_path / "gone"))
    (tmp_path / "config.yaml").write_text("name: old")
    assert f"go on with --resume {tmp_path}" in refused(
        "--config", "smoke", "--run_dir", str(tmp_path)
    )
    assert "--run_dir out" in refused("--resume", str(tmp_path), "--run_dir", "other")


# --- the script -----------------------------------------------------------------------------------


def test_script_refuses_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "train.py", "--config", "smoke", "--optim.stepz", "3"],
        cwd=tmp_path,  # the config is found from anywhere
        env={**os.environ, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr == "error: there is no key optim.stepz; did you mean optim.steps?\n"
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_script_refuses_what_the_trainer_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--config", "smoke", "--data.validation", "ade20k"]
    assert run_main(lambda: train.main(arguments)) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: unknown data set 'ade20k'")
    assert shown.count("\n") == 1


@pytest.mark.usefixtures("small_scenes")
def test_script_trains_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = [
        *("--config", "smoke", "--run_dir", "run", "--optim.steps", "2", "--data.crop", "64"),
        *("--model.decoder_channels", "[16,16,8,8,8]", "--model.dim", "8"),
        *("--data.validation_photos", "1", "--log.wandb", "disabled"),
    ]
    assert run_main(lambda: train.main(tiny)) == 0
    assert run_main(lambda: train.main(tiny)) == 2  # the folder is taken
    assert run_main(lambda: train.main(["--resume", "run", "--optim.steps", "3"])) == 0
    steps = [line.partition(",")[0] for line in Path("run/metrics.csv").read_text().splitlines()]
    assert steps[0] == "step"
    assert steps[1] == "0"
    assert steps[-1] == "3"
