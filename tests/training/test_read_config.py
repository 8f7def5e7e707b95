"""Configurations from YAML files and the command line: what overrides what, what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sss.cli.train import parse_command
from sss.training.config import LossConfig, PartConfig, SourceConfig, TrainConfig
from sss.training.read_config import describe_keys, known_keys

Refused = Callable[..., str]
Write = Callable[[str], str]


def test_command_line_over_later_over_earlier_config(write: Write) -> None:
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


def test_keys_before_the_config_win_too(write: Write) -> None:
    config = parse_command(["--optim.batch", "7", "--config", write("optim: {batch: 3}")]).config
    assert config.optim.batch == 7


def test_numbers_in_scientific_notation(write: Write) -> None:
    config = parse_command(["--config", write("optim: {lr: 1e-4}"), "--optim.clip", "1e1"]).config
    assert config.optim.lr == 1e-4
    assert config.optim.clip == 10.0


def test_words_of_yaml_1_1_are_taken_as_meant(write: Write) -> None:
    own = write(
        "precision: no\nlog: {wandb: disabled}\noptim: {steps: 6e4, batch: 1_0}\n"
        "model: {freeze_encoder: yes}"
    )
    config = parse_command(["--config", own, "--optim.warmup", "1e2"]).config
    assert config.precision == "no"
    assert (config.optim.steps, config.optim.batch, config.optim.warmup) == (60_000, 10, 100)
    assert config.model.freeze_encoder is True
    for word, meant in (("off", False), ("On", True), ("no", False), ("null", None)):
        arguments = ["--config", own, "--model.freeze_encoder", word]
        assert parse_command(arguments).config.model.freeze_encoder is meant


def test_text_that_looks_like_a_number_needs_quotes(write: Write, refused: Refused) -> None:
    text = refused("--config", write("name: 007"))
    assert text.endswith("name is 7, expected text: write it in quotes")
    assert parse_command(["--config", write("name: '007'")]).config.name == "007"


def test_lists_of_sources(write: Write) -> None:
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


def test_parts_of_a_loss(write: Write) -> None:
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


def test_validation_by_its_keys(write: Write) -> None:
    own = write("data: {validation: {name: bsds500, split: test, root: there}}")
    config = parse_command(["--config", own, "--data.validation.split", "val"]).config
    assert config.data.validation == SourceConfig("bsds500", split="val", root="there")


def test_lists_of_numbers() -> None:
    arguments = ["--config", "smoke", "--model.decoder_channels", "[5, 4, 3, 2, 1]"]
    assert parse_command(arguments).config.model.decoder_channels == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("optim.stepz", "optim.steps"),
        ("optim.learning_rate", None),
        ("optm.lr", "optim.lr"),
        ("nme", "name"),
        ("model.batch", "optim.batch"),
        ("crop", "data.crop"),
        ("data.validation.spilt", "data.validation.split"),
        ("samplng.name", "sampling.name"),
        ("loss.pixels_per_label", "sampling.pixels_per_label"),
        ("loss.miner.nam", "loss.miner.name"),
        ("zzz", None),
    ],
)
def test_nearest_key(refused: Refused, given: str, meant: str | None) -> None:
    text = refused("--config", "smoke", f"--{given}", "3")
    assert given in text
    assert (f"did you mean {meant}?" if meant else "--help") in text


def test_known_keys() -> None:
    keys = known_keys(TrainConfig)
    assert {"name", "optim", "optim.lr", "data.sources", "data.sources.weight"} <= set(keys)
    shown = [line.partition(":")[0].removeprefix("--") for line in describe_keys(TrainConfig)]
    assert shown == list(keys)


@pytest.mark.parametrize("argument", ["--optim.stepz=3", "--optim.stepz"])
def test_unknown_key_on_the_command_line(refused: Refused, argument: str) -> None:
    text = refused("--config", "smoke", argument, *([] if "=" in argument else ["3"]))
    assert text == "there is no key optim.stepz; did you mean optim.steps?"


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("data.sources", "[{name: scenes, weigth: 2}]", "data.sources.weigth; did you mean data"),
        ("data.sources+", "{nam: scenes}", "data.sources.nam; did you mean data.sources.name?"),
        ("data.sources", "[scenes]", "data.sources is 'scenes', expected keys with values (name"),
        ("data.sources", "[{weight: 2}]", "data.sources.name is missing in {'weight': 2.0}"),
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
def test_sections_on_the_command_line(refused: Refused, key: str, value: str, problem: str) -> None:
    for arguments in ([f"--{key}", value], [f"--{key}={value}"]):
        assert problem in refused("--config", "smoke", *arguments)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("optim: {stepz: 3}", "there is no key optim.stepz; did you mean optim.steps?"),
        ("lr: 3", "there is no key lr; did you mean optim.lr?"),
        ("3: 4", "the key in line 1, column 1 is no text; write it in quotes"),
        ("data: {sources: [{nam: scenes}]}", "data.sources.nam; did you mean data.sources.name?"),
        ("optim: 3", "optim is 3, expected keys with values (name, lr,"),
        ("data: {sources: [scenes]}", "data.sources is 'scenes', expected keys"),
        ("data: {sources: scenes}", "data.sources is 'scenes', expected a list"),
        ("data: {sources: [{weight: 2}]}", "data.sources.name is missing in {'weight': 2.0}"),
        ("data: {validation: scenes}", "data.validation is 'scenes', expected keys"),
        ("data: {validation: {spilt: val}}", "spilt; did you mean data.validation.split?"),
        ("loss: {mine: {name: x}}", "there is no key loss.mine; did you mean loss.miner?"),
        ("loss: {miner: BatchHardMiner}", "loss.miner is 'BatchHardMiner', expected keys"),
        (
            "loss: {miner: {nam: x}}",
            "there is no key loss.miner.nam; did you mean loss.miner.name?",
        ),
        ("sampling: {nme: uniform}", "sampling.nme; did you mean sampling.name?"),
        ("optim:", "optim is empty, expected keys"),
        ("- 1", "the file is [1], expected keys"),
        ("# only words", "the file is empty, expected keys"),
        ("optim: {steps: [", "is not a YAML file"),
        ("a: b: c", "is not a YAML file"),
    ],
)
def test_bad_files_are_named(write: Write, refused: Refused, text: str, problem: str) -> None:
    own = write(text)
    message = refused("--config", own)
    assert message.startswith(own)
    assert problem in message


def test_binary_file(refused: Refused, tmp_path: Path) -> None:
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
        ("optim.steps", "9.5e0", "a whole number"),
        ("optim.steps", "1e99", "a whole number"),
        ("model.freeze_encoder", "1", "true or false"),
        ("data.sources", "scenes", "a list"),
        ("data.validation.weight", "x", "a number"),
        ("data.scale", "[a, b]", "a number"),
        ("loss.options", "3", "keys with values"),
        ("model.freeze_encoder", "maybe", "true or false"),
        ("model.decoder_channels", "[1, 2, x, 3, 4]", "a whole number"),
    ],
)
def test_wrong_types(write: Write, refused: Refused, key: str, value: str, expected: str) -> None:
    in_file = value or "''"
    for name in reversed(key.split(".")):
        in_file = f"{{{name}: {in_file}}}"
    for text in (
        refused("--config", "smoke", f"--{key}={value}"),
        refused("--config", write(in_file)).removeprefix(f"{write(in_file)}: "),
    ):
        assert text.startswith(f"{key} is ")
        assert text.endswith(f"expected {expected}")


def test_a_wrong_type_in_a_list_of_sections(write: Write, refused: Refused) -> None:
    sources = "[{name: scenes, weight: x}]"
    for arguments in (
        ["--data.sources", sources],
        ["--config", write(f"data: {{sources: {sources}}}")],
    ):
        text = refused("--config", "smoke", *arguments)
        assert text.endswith("data.sources.weight is 'x', expected a number")


def test_a_list_is_given_as_a_whole(refused: Refused) -> None:
    text = refused("--config", "smoke", "--data.sources.weight", "2")
    assert text == "data.sources is a list; give all of it: --data.sources '[…]'"


def test_a_value_that_is_not_yaml(refused: Refused) -> None:
    assert "--data.sources [{ is not YAML: " in refused("--config", "smoke", "--data.sources", "[{")


def test_text_stays_as_it_is() -> None:
    arguments = ["--config", "smoke", "--name", "2024", "--data.root", "~/x"]
    config = parse_command(arguments).config
    assert (config.name, config.data.root) == ("2024", "~/x")
    assert parse_command([*arguments, "--data.root", "null"]).config.data.root is None
