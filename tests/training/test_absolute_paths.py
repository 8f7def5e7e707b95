from pathlib import Path

import pytest

from sss.models.base import ModelConfig
from sss.training.absolute_paths import with_absolute_paths
from sss.training.config import DataConfig, SourceConfig, TrainConfig


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("SSS_DATA", raising=False)
    return TrainConfig(
        model=ModelConfig(weights="w/encoder.pt"),
        data=DataConfig(
            root="data",
            sources=[SourceConfig("folder", root="a"), SourceConfig("scenes")],
            validation=SourceConfig("folder", root="~/b"),
        ),
    )


def test_whatever_was_relative(config: TrainConfig, tmp_path: Path) -> None:
    found = with_absolute_paths(config)
    assert found.model.weights == str(tmp_path / "w" / "encoder.pt")
    assert found.data.root == str(tmp_path / "data")
    assert [source.root for source in found.data.sources] == [str(tmp_path / "a"), None]
    assert found.data.validation.root == "/home/somebody/b"
    assert config.data.root == "data"
    assert with_absolute_paths(found) == found


@pytest.mark.parametrize("weights", ["none", "imagenet"])
def test_what_is_no_path(config: TrainConfig, weights: str) -> None:
    config.model.weights, config.data.root = weights, None
    found = with_absolute_paths(config)
    assert (found.model.weights, found.data.root) == (weights, None)


def test_the_environments_root_stands_in_the_configuration(
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config.data.root = None
    monkeypatch.setenv("SSS_DATA", "sets")
    found = with_absolute_paths(config)
    assert found.data.root == str(tmp_path / "sets")
    with caplog.at_level("INFO", "sss"):
        assert with_absolute_paths(found) == found
        assert caplog.messages == []
        monkeypatch.setenv("SSS_DATA", "/elsewhere")  # before the run goes on
        assert with_absolute_paths(found) == found
    assert caplog.messages == [f"data.root is {tmp_path / 'sets'}, not SSS_DATA (/elsewhere)"]
