"""Train what lies above a frozen encoder, in minutes.

    python -m sss.heads --config encoder_pair --cache CACHE [--visits 2400] [--KEY VALUE …]

Takes the configs and keys of train.py. The encoder's outputs at the sampled pixels of the run's
first crops are kept in a folder; the hidden layer and the embedding of a hypercolumn network are
trained on them, as often as there are steps. Another loss, width or length needs no new folder.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss.console import run_main
from sss.errors import InputError

if TYPE_CHECKING:
    from sss.models.base import EmbeddingNetwork
    from sss.training.columns import ColumnFile
    from sss.training.config import TrainConfig
    from sss.training.metrics_file import MetricsFile

log = logging.getLogger("sss.heads")  # also where it is run as __main__


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module."""
    from sss.cli.train import parse_command

    parser = argparse.ArgumentParser(
        prog="python -m sss.heads",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Further options are those of train.py, see train.py --help.",
        allow_abbrev=False,
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder of encoder outputs")
    parser.add_argument("--visits", type=int, default=2400, help="crops that are kept")
    options, rest = parser.parse_known_args(arguments)
    if options.visits < 1:
        raise InputError(f"--visits is {options.visits}, expected 1 or more")
    command = parse_command(rest)
    if command.config.model.name != "hypercolumn":
        raise InputError(
            f"model.name is {command.config.model.name}, expected hypercolumn: of other networks "
            "more than a layer per pixel is trained; use train.py"
        )
    if command.config.model.scene_dim:
        raise InputError("model.scene_dim is not of a single layer per pixel; use train.py")
    train_head(command.config, command.run_dir, options.cache, options.visits)
    return 0


def train_head(config: TrainConfig, run_dir: Path, cache: Path, visits: int) -> None:
    """Train a hypercolumn network's layers on a file of columns; see the module.

    Args:
        config: Checked. Of ``optim`` the rate is ``lr · head_factor``.
        run_dir: Gets ``config.yaml``, ``metrics.csv`` and ``best.safetensors``, the last weights.
        cache: See :class:`sss.training.columns.ColumnFile`.
        visits: Crops.

    Raises:
        InputError: Data, weights or the folders cannot be used.
    """
    import torch

    from sss.files import whole_file
    from sss.models.checkpoints import save_checkpoint
    from sss.models.registry import build_network
    from sss.ownership import owned
    from sss.training.absolute_paths import with_absolute_paths
    from sss.training.batches import open_training, open_validation, single_columns
    from sss.training.columns import ColumnFile
    from sss.training.embedding_task import calibrate
    from sss.training.metrics_file import MetricsFile
    from sss.training.validation import CURVES
    from sss.yaml_files import as_yaml

    config = with_absolute_paths(config)
    config = replace(config, model=replace(config.model, freeze_encoder=True))
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    validations, samples = open_validation(config.data), open_training(config)
    samples.visits = max(visits, samples.visits)
    with owned(run_dir):
        network = build_network(config.model)
        calibrate(network, samples, visits)
        started = time.monotonic()

        def progress(done: int) -> None:
            if done % 200 == 0 or done == visits:
                log.info("%d of %d crops, %.0f s", done, visits, time.monotonic() - started)

        columns = ColumnFile(cache, config, network.eval(), samples, visits, progress)
        with whole_file(run_dir / "config.yaml") as partial:
            partial.write_text(as_yaml(asdict(config)))
        metrics = MetricsFile(run_dir / "metrics.csv", more=[*CURVES, *single_columns(config.data)])
        average = _train(config, network, columns, metrics)
        seconds = round(time.monotonic() - started, 1)
        row = _validate(config, average, validations)
        metrics.add({"step": config.optim.steps, **row})
        training = {"step": config.optim.steps, **row, "seconds": seconds, "config": asdict(config)}
        save_checkpoint(run_dir / "best.safetensors", average, config.model, training)
        log.info("done: %s", run_dir / "best.safetensors")


def _train(
    config: TrainConfig, network: EmbeddingNetwork, columns: ColumnFile, metrics: MetricsFile
) -> EmbeddingNetwork:
    """The loop; gives the moving average of the weights, if there is one."""
    import numpy as np
    import torch

    from sss.training.average import WeightAverage
    from sss.training.losses import build_loss
    from sss.training.optim import build_optimizer, set_learning_rate

    optim, loss = config.optim, build_loss(config.loss)
    optimizer = build_optimizer(network, optim)
    average = WeightAverage(network, optim.ema) if optim.ema else None
    parameters = [p for p in network.parameters() if p.requires_grad]
    backbone: Any = network.train().backbone
    rng, started, losses = np.random.default_rng(config.seed), time.monotonic(), []
    usable = np.flatnonzero(np.diff(columns.starts))
    for step in range(optim.steps):
        set_learning_rate(optimizer, optim, step)
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros(())
        for visit in rng.choice(usable, optim.batch):
            values, labels = columns[int(visit)]
            total = total + loss(backbone.embed_columns(values), labels) / optim.batch
        total.backward()
        if optim.clip:
            torch.nn.utils.clip_grad_norm_(parameters, optim.clip)
        optimizer.step()
        losses.append(float(total.detach()))
        if average:
            average.update(network, step + 1)
        if (step + 1) % config.log.every == 0 or step + 1 == optim.steps:
            seconds, mean = time.monotonic() - started, sum(losses) / len(losses)
            metrics.add({"step": step + 1, "loss": round(mean, 6), "seconds": round(seconds, 1)})
            log.info("step %d/%d  loss %.4f  %.0f s", step + 1, optim.steps, mean, seconds)
            losses = []
    best: EmbeddingNetwork = average.network if average else network
    return best.eval()


def _validate(
    config: TrainConfig,
    network: EmbeddingNetwork,
    validations: dict[str, Any],
) -> dict[str, float]:
    """The network's scores as a row of ``metrics.csv``."""
    import torch

    from sss.models.torch_network import embed_photo
    from sss.training.validation import (
        mean_over_sets,
        summarise,
        validate_photos,
        validation_row,
    )

    def embed(photo: Any) -> Any:
        return embed_photo(network, photo, torch.device("cpu"))

    scores = mean_over_sets(
        {
            name: summarise(validate_photos(embed, dataset, config.data.validation_photos))
            for name, dataset in validations.items()
        }
    )
    row = validation_row(scores)
    for name, value in row.items():
        log.info("%s %.4f", name, value)
    return row


if __name__ == "__main__":
    sys.exit(run_main(main))
