"""Values that cannot be trained with."""

from collections.abc import Callable

import pytest

from sss.errors import InputError
from sss.training.check_config import check_config
from sss.training.config import SourceConfig, TrainConfig

Refused = Callable[..., str]


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
@pytest.mark.slow
def test_impossible_values(refused: Refused, key: str, value: str) -> None:
    text = refused("--config", "smoke", f"--{key}", value)
    assert text.startswith(key)
    assert "expected" in text


def test_default_config_is_possible() -> None:
    check_config(TrainConfig())


@pytest.mark.parametrize(
    "part", ["only_every: -1", "without_every: 1", "only_every: 2, without_every: 3"]
)
def test_impossible_parts(part: str) -> None:
    config = TrainConfig()
    keys = {k: int(v) for k, v in (pair.split(": ") for pair in part.split(", "))}
    config.data.also_validated = [SourceConfig("scenes", split="val", **keys)]
    with pytest.raises(InputError, match="only_every and without_every of scenes are"):
        check_config(config)


def test_losses_that_know_no_rest() -> None:
    config = TrainConfig()
    config.data.sources = [SourceConfig("folder", root="there", rest=0)]
    check_config(config)
    config.loss.name = "ContrastiveLoss"
    with pytest.raises(InputError, match=r"loss\.name 'ContrastiveLoss' knows no rest"):
        check_config(config)
