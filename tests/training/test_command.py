import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

import train
from sss.cli.common import run_main
from sss.errors import InputError
from sss.training.command import CONFIG_DIR, SWEEP, find_config, parse_command
from sss.training.config import LossConfig, PartConfig, SourceConfig, TrainConfig, check_config
from sss.training.keys import known_keys, unknown_key

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


def test_sources_can_be_added() -> None:
    arguments = ["--config", "smoke", "--data.sources+", "{name: bsds500, weight: 3}"]
    expected = [SourceConfig("scenes"), SourceConfig("bsds500", 3.0)]
    assert parse_command(arguments).config.data.sources == expected


def test_parts_of_a_loss(write) -> None:
    own = write(
        "loss:\n"
        "  name: TripletMarginLoss\n"
        "  options: {margin: 0.2}\n"
        "  miner: {name: MultiSimilarityMiner, options: {epsilon: 0.3}}\n"
    )
    expected = LossConfig(
        "TripletMarginLoss",
        {"margin": 0.2},
        miner=PartConfig("MultiSimilarityMiner", {"epsilon": 0.3}),
    )
    by_keys = [
        *("--loss.name", "TripletMarginLoss", "--loss.options.margin", "0.2"),
        *("--loss.miner.name", "MultiSimilarityMiner", "--loss.miner.options.epsilon", "0.3"),
    ]
    as_sections = [
        *("--loss.name", "TripletMarginLoss", "--loss.options", "{margin: 0.2}"),
        *("--loss.miner", "{name: MultiSimilarityMiner, options: {epsilon: 0.3}}"),
    ]
    for arguments in (["--config", own], by_keys, as_sections):
        assert parse_command(["--config", "smoke", *arguments]).config.loss == expected
    over = ["--config", own, "--loss.miner.options.epsilon", "0.5", "--loss.options.margin", "1"]
    config = parse_command(over).config.loss
    assert config.miner == PartConfig("MultiSimilarityMiner", {"epsilon": 0.5})
    assert config.options == {"margin": 1}
    assert parse_command(["--config", own, "--loss.miner", "null"]).config.loss.miner is None


def test_validation_by_its_keys(write) -> None:
    own = write("data: {validation: {name: bsds500, split: test, root: there}}")
    config = parse_command(["--config", own, "--data.validation.split", "val"]).config
    assert config.data.validation == SourceConfig("bsds500", split="val", root="there")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_copy_in_the_runs_folder_is_the_same(path: Path, tmp_path: Path) -> None:
    config = parse_command(["--config", str(path), "--loss.options", "{}"]).config
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(asdict(config), sort_keys=False))
    assert parse_command(["--resume", str(tmp_path)]).config == config


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
        ("data.validation.spilt", "data.validation.split"),
        ("samplng.name", "sampling.name"),
        ("loss.pixels_per_label", "sampling.pixels_per_label"),
        ("loss.miner.nam", "loss.miner.name"),
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


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("data.sources", "[{name: scenes, weigth: 2}]", "data.sources.weigth; did you mean data"),
        ("data.sources+", "{nam: scenes}", "data.sources.nam; did you mean data.sources.name?"),
        ("data.sources", "[scenes]", "data.sources is 'scenes', expected keys with values (name"),
        ("data.sources", "[{weight: 2}]", "data.sources.name is missing in {'weight': 2}"),
        ("data.validation", "scenes", "data.validation is 'scenes', expected keys with values"),
        ("data.validation", "{spilt: val}", "data.validation.spilt; did you mean data.validation."),
        ("loss.miner", "{nam: BatchHardMiner}", "loss.miner.nam; did you mean loss.miner.name?"),
        ("loss.miner", "BatchHardMiner", "loss.miner is 'BatchHardMiner', expected keys"),
        ("loss.miner.options.epsilon", "0.1", "loss.miner.name is missing"),
        ("optim", "3", "optim is 3, expected keys with values (name, lr,"),
        ("samplng.name", "uniform", "samplng.name; did you mean sampling.name?"),
        ("sampling.nam", "uniform", "sampling.nam; did you mean sampling.name?"),
        ("data.validation.spilt", "val", "data.validation.spilt; did you mean data.validation."),
        ("loss.mine.name", "x", "loss.mine.name; did you mean loss.miner.name?"),
        ("loss.options.margn", "1", "unknown loss.options.margn; modified_npair takes no options"),
    ],
)
def test_sections_on_the_command_line(key: str, value: str, problem: str) -> None:
    for arguments in ([f"--{key}", value], [f"--{key}={value}"]):
        assert problem in refused("--config", "smoke", *arguments)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("optim: {stepz: 3}", "there is no key optim.stepz; did you mean optim.steps?"),
        ("lr: 3", "there is no key lr; did you mean optim.lr?"),
        ("3: 4", "there is no key 3"),
        ("data: {sources: [{nam: scenes}]}", "data.sources.nam; did you mean data.sources.name?"),
        ("optim: 3", "optim is 3, expected keys with values (name, lr,"),
        ("data: {sources: [scenes]}", "data.sources is 'scenes', expected keys"),
        ("data: {sources: scenes}", "data.sources is 'scenes', expected a list"),
        ("data: {sources: [{weight: 2}]}", "data.sources.name is missing in {'weight': 2}"),
        ("data: {validation: scenes}", "data.validation is 'scenes', expected keys"),
        ("data: {validation: {spilt: val}}", "spilt; did you mean data.validation.split?"),
        ("loss: {mine: {name: x}}", "there is no key loss.mine; did you mean loss.miner?"),
        ("loss: {miner: BatchHardMiner}", "loss.miner is 'BatchHardMiner', expected keys"),
        (
            "loss: {miner: {nam: x}}",
            "there is no key loss.miner.nam; did you mean loss.miner.name?",
        ),
        ("sampling: {nme: uniform}", "sampling.nme; did you mean sampling.name?"),
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
        ("optim.steps", "true", "a whole number"),
        ("optim.steps", "", "a whole number"),
        ("data.sources", "scenes", "a list"),
        ("data.validation.weight", "x", "a number"),
        ("data.scale", "[a, b]", "a number"),
        ("loss.options", "3", "keys with values"),
        ("model.freeze_encoder", "maybe", "true or false"),
        ("model.decoder_channels", "[1, 2, x, 3, 4]", "a whole number"),
    ],
)
def test_wrong_types(write, key: str, value: str, expected: str) -> None:
    in_file = value or "''"
    for name in reversed(key.split(".")):
        in_file = f"{{{name}: {in_file}}}"
    for text in (
        refused("--config", "smoke", f"--{key}={value}"),
        refused("--config", write(in_file)).removeprefix(f"{write(in_file)}: "),
    ):
        assert text.startswith(f"{key} is ")
        assert text.endswith(f"expected {expected}")


def test_a_wrong_type_in_a_list_of_sections(write) -> None:
    sources = "[{name: scenes, weight: x}]"
    for arguments in (
        ["--data.sources", sources],
        ["--config", write(f"data: {{sources: {sources}}}")],
    ):
        text = refused("--config", "smoke", *arguments)
        assert text == "data.sources.weight is 'x', expected a number"


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
        ("data.blur", "2"),
        ("data.jpeg", "-1"),
        ("data.copy_paste", "1.5"),
        ("sampling.labels_per_photo", "1"),
        ("sampling.pixels_per_label", "0"),
        ("sampling.boundary_share", "1.5"),
        ("optim.schedule", "linear"),
        ("optim.accumulate", "0"),
        ("optim.ema", "1"),
        ("optim.ema", "-0.1"),
        ("log.pictures", "-1"),
        ("log.patience", "-1"),
        ("log.layers_every", "45"),
        ("precision", "half"),
        ("name", ""),
        ("name", "a/b"),
        ("seed", "9223372036854775808"),
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
    arguments = ["--config", "smoke", "--data.validation.name", "ade20k"]
    assert run_main(lambda: train.main(arguments)) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: unknown data set 'ade20k'")
    assert shown.count("\n") == 1


BAD = [
    (["--samplng.name", "uniform"], "there is no key samplng.name; did you mean sampling.name?"),
    (["--data.validation.name", "ade20k"], "unknown data set 'ade20k'; known: bsds500, "),
    (["--data.validation.split", "test"], "scenes have the splits train and val, not 'test'"),
    (["--data.scale", "[2, 1]"], "data.scale is [2.0, 1.0], expected the lowest and the highest"),
    (["--data.crop", "9e9"], "data.crop is '9000000000.0', expected a whole number"),
    (
        ["--data.sources", "[{name: bsds500}]"],
        "fetch it (71 MB) with: python -m data.prepare bsds5",
    ),
    (
        ["--data.sources", "[{name: cocostuff}]", "--data.root", "here", "--dry-run"],
        "fetch it (21 GB, 20 of them photos) with: python -m data.prepare cocostuff --root here; "
        "the data set scenes needs none",
    ),
    (["--loss.name", "TripletMarginLos"], "did you mean TripletMarginLoss?"),
    (["--optim.batch", "5", "--optim.accumulate", "2"], "does not split evenly into 1 processes"),
    (["--precision", "fp16", "--device", "cpu"], "precision fp16 needs a GPU"),
    (["--device", "gpu"], "unknown device 'gpu'; expected auto, cpu or cuda"),
    (["--model.name", "unet_plan"], "did you mean 'unet_plain'?"),
    (["--model.dim", "2"], "model.dim is 2, expected 8 to 512"),
    (["--model.weights", "gone.pt"], "no encoder weights at gone.pt"),
    (["--run_dir", "a_file"], "--run_dir a_file: a_file is a file; choose another folder"),
    (["--run_dir", "a_file/run"], "--run_dir a_file/run: a_file is a file; choose another"),
    (["--run_dir", "x" * 300], "File name too long; choose another folder"),
    (["--run_dir", "taken"], "taken already holds a run; go on with --resume taken"),
    (["--resume", "a_file"], "--resume a_file: no run there"),
    (["--config", "a_file"], "a_file: the file is 'text', expected keys with values (name, model"),
]


def test_script_refuses_in_one_line_whatever_it_is(
    train_py: Callable[..., Any], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    (work / "a_file").write_text("text")
    (work / "taken").mkdir()
    (work / "taken" / "config.yaml").write_text("name: old")
    before = sorted(work.rglob("*"))
    for arguments, problem in BAD:
        command = train_py("--config", "smoke", *arguments)
        assert command.wait() == 2, arguments
        assert command.stderr.startswith("error: "), command.stderr
        assert command.stderr.count("\n") == 1, command.stderr
        assert problem in command.stderr, arguments
        assert command.stdout == ""
        assert sorted(work.rglob("*")) == before, arguments


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    text = refused("--config", "smoke", "--run_dir", str(tmp_path / "run"))
    tmp_path.chmod(0o700)
    assert f"{tmp_path} cannot be written to; choose another folder" in text


@pytest.mark.usefixtures("small_scenes", "fresh_accelerator")
def test_script_trains_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = [
        *("--config", "smoke", "--run_dir", "run", "--optim.steps", "2", "--data.crop", "64"),
        *("--model.decoder_channels", "[16,16,8,8,8]", "--model.dim", "8"),
        *("--data.validation_photos", "1", "--log.wandb", "disabled", "--log.layers_every", "0"),
    ]
    assert run_main(lambda: train.main(tiny)) == 0
    assert run_main(lambda: train.main(tiny)) == 2  # the folder is taken
    assert run_main(lambda: train.main(["--resume", "run", "--optim.steps", "3"])) == 0
    steps = [line.partition(",")[0] for line in Path("run/metrics.csv").read_text().splitlines()]
    assert steps[0] == "step"
    assert steps[1] == "0"
    assert steps[-1] == "3"
