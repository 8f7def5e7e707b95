"""The training loop."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data.sources import data_root, open_source
from data.training import VisitDataset
from data.transforms import TrainingTransform
from sss.errors import InputError
from sss.evaluation.validation import mean_pair_auc
from sss.features.checkpoints import pick_device, save_checkpoint
from sss.features.extractor import embed_photo
from sss.features.networks import build_network
from sss.files import whole_file
from sss.learning.config import TrainConfig
from sss.learning.losses import build_loss
from sss.learning.optim import build_optimizer, set_learning_rate
from sss.learning.sampling import sample_pixels
from sss.learning.tracking import MetricsFile, NoTracker, open_tracker

log = logging.getLogger(__name__)


class Trainer:
    """One training run in one folder.

    The run's state after each validation is in ``last.pt``; everything random follows from the
    seed and the step, so a run that goes on from there repeats what an unbroken one would do.

    Args:
        config: Checked configuration.
        run_dir: Folder for checkpoints, metrics and curves.
        resume: Go on from ``run_dir/last.pt``.

    Raises:
        InputError: Data, weights or the state to resume cannot be used.
    """

    def __init__(self, config: TrainConfig, run_dir: Path, resume: bool = False) -> None:
        self.config = config
        self.run_dir = run_dir
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.device = pick_device(config.device)
        root = data_root(config.data.root)
        self.validation = open_source(config.data.validation, root, config.data.validation_split)
        self.samples = VisitDataset(
            [open_source(s.name, root, s.split) for s in config.data.sources],
            [s.weight for s in config.data.sources],
            TrainingTransform(config.data.crop, colour=config.data.colour),
            visits=config.optim.steps * config.optim.batch,
            seed=config.seed,
        )
        # A run that goes on has its encoder in the state: the file it began with may be gone.
        start = replace(config.model, weights="none") if resume else config.model
        network = build_network(start)
        network.freeze_statistics = config.model.weights != "none"
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.loss = build_loss(config.loss.name)
        self.optimizer = build_optimizer(self.network, config.optim)
        self.step = 0
        self.best = -math.inf
        self.seconds = 0.0
        self.losses: list[float] = []  # of the steps since the last row
        if resume:
            self._load_state()
        with whole_file(run_dir / "config.yaml") as partial:
            partial.write_text(yaml.safe_dump(asdict(config), sort_keys=False))
        self.metrics = MetricsFile(run_dir / "metrics.csv", self.step)
        self.tracker: NoTracker = NoTracker()

    def run(self) -> None:
        """Train from the current step to the last one."""
        options = self.config.log
        self._describe()
        self.tracker = open_tracker(
            options.wandb, options.project, self.run_dir, asdict(self.config)
        )
        try:
            self._loop()
        except BaseException:
            self.tracker.finish(failed=True)
            raise
        self.tracker.finish()
        log.info("done: best validation pair AUC %.4f; %s", self.best, self.run_dir)

    def _loop(self) -> None:
        options, steps = self.config.log, self.config.optim.steps
        if self.step == 0:
            self._validate()
            self._save_state()
        self.network.train()
        photos, since_row = 0, 0.0
        started = time.perf_counter()
        for images, labels in self._batches():
            self.losses.append(self._train_step(images, labels))
            photos += len(images)
            elapsed = time.perf_counter() - started  # waiting for the photos included
            self.seconds += elapsed
            since_row += elapsed
            if self.step % options.every == 0 or self.step == steps:
                self._log_row(sum(self.losses) / len(self.losses), photos / since_row)
                self.losses, photos, since_row = [], 0, 0.0
            if self.step % options.validate_every == 0 or self.step == steps:
                self._validate()
                self._save_state()
            started = time.perf_counter()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        config = self.config
        first = self.step * config.optim.batch
        loader = DataLoader(
            self.samples,
            batch_size=config.optim.batch,
            sampler=range(first, len(self.samples)),
            num_workers=config.data.workers,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_one_thread,
        )
        try:
            yield from loader
        except InputError as error:
            # A loader process hands on its error as a traceback, whose last line is the message.
            raise InputError(str(error).rstrip().rpartition("InputError: ")[2]) from error

    def _train_step(self, images: Tensor, labels: Tensor) -> float:
        """One optimiser step; returns the loss."""
        torch.manual_seed(_step_seed(self.config.seed, self.step))  # for layers that draw numbers
        set_learning_rate(self.optimizer, self.config.optim, self.step)
        photos = images.to(self.device, torch.float32, non_blocking=True) / 255
        embeddings = self.network(photos.to(memory_format=torch.channels_last))
        loss = self._batch_loss(embeddings, labels)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise InputError(
                f"the loss is {value} at step {self.step}; lower optim.lr or set optim.clip, "
                f"then go on from the last checkpoint in {self.run_dir}"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.optim.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optim.clip)
        self.optimizer.step()
        self.step += 1
        return value

    def _batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean of the photos' losses; pairs are made within a photo only."""
        generator = torch.Generator().manual_seed(_step_seed(self.config.seed, self.step))
        options = self.config.loss
        losses = []
        for embedding, label_map in zip(embeddings, labels, strict=True):
            picked = sample_pixels(
                label_map,
                options.labels_per_photo,
                options.pixels_per_label,
                generator=generator,
            )
            if len(picked):
                vectors = embedding.flatten(1)[:, picked.to(self.device)].T  # (M, D)
                chosen = label_map.reshape(-1)[picked].to(self.device)
                losses.append(self.loss(vectors, chosen))
        if not losses:  # keeps the graph, so the step is a step without gradient
            return embeddings.sum() * 0.0
        return torch.stack(losses).mean()

    def _validate(self) -> None:
        """Validate, keep the best weights, write the row and the curves."""
        started = time.perf_counter()
        self.network.eval()
        score = mean_pair_auc(
            lambda photo: embed_photo(self.network, photo, self.device),
            self.validation,
            self.config.data.validation_photos,
        )
        self.network.train()
        log.info(
            "step %d: validation pair AUC %.4f (%.0f s)",
            self.step,
            score,
            time.perf_counter() - started,
        )
        self.metrics.add({"step": self.step, "val_pair_auc": round(score, 5)})
        self.metrics.draw(self.run_dir / "curves.png")
        self.tracker.log(self.step, {"val_pair_auc": score})
        training = {
            "step": self.step,
            "val_pair_auc": score,
            "seconds": round(self.seconds, 1),
            "config": asdict(self.config),
        }
        if score > self.best:
            self.best = score
            self._save_weights("best", training)
        self._save_weights("last", training)

    def _save_weights(self, name: str, training: dict[str, Any]) -> None:
        path = self.run_dir / f"{name}.safetensors"
        save_checkpoint(path, self.network, self.config.model, training)

    def _log_row(self, loss: float, speed: float) -> None:
        config = self.config
        rate = self.optimizer.param_groups[0]["lr"]
        left = (config.optim.steps - self.step) * config.optim.batch / speed
        log.info(
            "step %d/%d  loss %.4f  lr %.2e  %.1f photos/s  %d min %02d s left",
            *(self.step, config.optim.steps, loss, rate, speed),
            *divmod(int(left), 60),
        )
        row = {
            "step": self.step,
            "loss": round(loss, 6),
            "lr": rate,
            "photos_per_second": round(speed, 2),
            "seconds": round(self.seconds, 1),
        }
        self.metrics.add(row)
        self.tracker.log(self.step, {k: v for k, v in row.items() if k != "step"})

    def _save_state(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "losses": self.losses,
        }
        with whole_file(self.run_dir / "last.pt") as partial:
            torch.save(state, partial)

    def _load_state(self) -> None:
        path = self.run_dir / "last.pt"
        if not path.is_file():
            raise InputError(
                f"no training state at {path}; remove {self.run_dir} and start this run anew"
            )
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.best, self.seconds = state["step"], state["best"], state["seconds"]
            self.losses = state.get("losses", [])
        except Exception as error:  # torch names no type for a damaged file
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{path} is not the training state of this network ({type(error).__name__}: "
                f"{reason}); resume without changing the model or the optimiser"
            ) from error

    def _describe(self) -> None:
        parameters = sum(p.numel() for p in self.network.parameters())
        mix = " + ".join(
            f"{source.name} ({len(dataset)} photos, weight {source.weight:g})"
            for source, dataset in zip(self.config.data.sources, self.samples.sources, strict=True)
        )
        log.info(
            "%s: %.1f M parameters in float32 on %s (%s); training on %s; validating on %d of %s",
            self.config.model.name,
            parameters / 1e6,
            self.device,
            "the only device asked for" if self.config.device != "auto" else "the best found",
            mix,
            min(self.config.data.validation_photos, len(self.validation)),
            f"{self.config.data.validation} {self.config.data.validation_split}",
        )


def _step_seed(seed: int, step: int) -> int:
    """A number of its own for each step of each run's seed."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0])


def _one_thread(_worker: int) -> None:
    """Loader processes must not fight with the training for the cores."""
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
