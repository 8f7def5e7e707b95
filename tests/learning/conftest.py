"""Training runs small enough for tests."""

import pytest

from sss.features.embedding import ModelConfig
from sss.learning.config import (
    DataConfig,
    LogConfig,
    OptimConfig,
    SamplingConfig,
    SourceConfig,
    TrainConfig,
)


@pytest.fixture
def tiny_config(tiny_model: ModelConfig, small_scenes: None) -> TrainConfig:
    """Four steps of two crops on small scenes."""
    return TrainConfig(
        name="tiny",
        model=tiny_model,
        data=DataConfig(sources=[SourceConfig("scenes")], validation_photos=1, crop=64, workers=0),
        sampling=SamplingConfig(labels_per_photo=3, pixels_per_label=20),
        optim=OptimConfig(name="adamw", lr=1e-3, head_factor=1.0, steps=4, batch=2, clip=10.0),
        log=LogConfig(every=2, validate_every=2, wandb="disabled"),
        device="cpu",
    )
