"""A training run in its folder: the loop around the steps, validation, checkpoints."""

from __future__ import annotations

import json
import logging
import shlex
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from sss.data.base import RegionDataset
from sss.data.training import TrainingBatch, VisitDataset
from sss.errors import InputError
from sss.files import remove_partial_files, whole_file
from sss.git import record_git_state
from sss.models.base import EmbeddingNetwork
from sss.models.checkpoints import save_checkpoint, start_from_checkpoint
from sss.models.registry import build_network
from sss.models.torch_network import embed_photo
from sss.timer import StepTimer, hours_minutes
from sss.tracking import NoTracker, open_tracker
from sss.training.accelerator import open_accelerator, together
from sss.training.average import WeightAverage
from sss.training.batches import check_split, open_training, open_validation, single_columns
from sss.training.check_step import check_step
from sss.training.config import TrainConfig
from sss.training.describe import describe, describe_pairs
from sss.training.loader import TrainingLoader
from sss.training.losses import build_loss
from sss.training.memory import explain_out_of_memory
from sss.training.metrics_file import MetricsFile
from sss.training.optim import OptimizerState, build_optimizer
from sss.training.pair_count import PairCount
from sss.training.run_pictures import RunPictures
from sss.training.state import RunProgress, load_state, save_state
from sss.training.step import StepResult, TrainingStep
from sss.training.stopping import Stopping
from sss.training.validation import (
    METRICS,
    Embed,
    mean_over_sets,
    summarise,
    validate_photos,
    validation_row,
)
from sss.yaml_files import as_yaml

log = logging.getLogger(__name__)

CALIBRATION_PHOTOS = 32
"""Training crops on which a network may measure its statistics before the first step."""


class Trainer:
    """One training run in one folder, on one process or several.

    The run's state after each validation is in ``last.pt``; everything random follows from the
    seed and the step, so a run that goes on from there repeats what an unbroken one would do.

    Args:
        config: Checked configuration.
        run_dir: Folder for checkpoints, metrics and curves; made by :meth:`run`. Only the main
            process writes to it, but on several machines all must see it to resume. See
            :func:`sss.training.run_folder.own_run_dir`.
        resume: Go on from ``run_dir/last.pt``; a run that was killed before it wrote one begins
            anew.
        accelerator: Default: what :func:`sss.training.accelerator.open_accelerator` gives.

    Raises:
        InputError: Data, weights or the state to resume cannot be used.
    """

    def __init__(
        self,
        config: TrainConfig,
        run_dir: Path,
        resume: bool = False,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.config = config
        self.accelerator = accelerator or open_accelerator(config)
        check_split(config, self.accelerator.num_processes)
        self.run_dir = run_dir
        resume = resume and _has_state(run_dir)
        torch.manual_seed(config.seed)
        self.validations = open_validation(config.data)
        self.samples = open_training(config)
        self.pairs = describe_pairs(config.data, self.samples, self.validations)
        with explain_out_of_memory(config, self.accelerator.num_processes):
            self.network = self._build_network(resume)
        self.average = WeightAverage(self.network, config.optim.ema) if config.optim.ema else None
        self.optimizer = build_optimizer(self.network, config.optim)
        self.progress = RunProgress(pending=True)
        if resume:
            self.progress = load_state(self.run_dir / "last.pt", self._parts())
            if self.progress.step == 0:  # its validation is made again, and counts once
                self.progress = RunProgress(pending=True)
        prepared: tuple[nn.Module, Any] = self.accelerator.prepare(self.network, self.optimizer)
        # Preparing lets the network itself compute in the run's precision. Training asks for that
        # at each step; validation scores what inference will compute.
        self.accelerator.unwrap_model(prepared[0], keep_fp32_wrapper=False)
        self.train_step = TrainingStep(
            config, self.accelerator, *prepared, build_loss(config.loss), self.run_dir
        )
        self.tracker: NoTracker = NoTracker()
        self.stopping = Stopping()
        self.pair_count = PairCount(config.optim)
        self.kept_step = self.progress.step if resume else None  # on disk

    def _build_network(self, resume: bool) -> EmbeddingNetwork:
        # A run that goes on has its encoder in the state: the file it began with may be gone.
        model = self.config.model
        if resume:
            model = replace(model, weights="none", second_weights="none", start="")
        network = build_network(model)
        network.freeze_statistics = self.config.model.weights != "none"
        device, processes = self.accelerator.device, self.accelerator.num_processes
        check_step(network, self.config, 1 if device.type == "cuda" else processes)
        if processes > 1 and device.type == "cuda":
            # Batch norms over the photos of all processes; there is no such thing on CPUs.
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        if not resume and network.calibrates:
            calibrate(network, self.samples, len(self.samples))
        if model.start:
            count = start_from_checkpoint(network, Path(model.start))
            log.info(
                "%d of %d tensors are those of %s", count, len(network.state_dict()), model.start
            )
        return network.to(device).to(memory_format=torch.channels_last)

    def _parts(self) -> dict[str, Any]:
        """What has a state."""
        optimizer = OptimizerState(self.optimizer)
        parts: dict[str, Any] = {"network": self.network, "optimizer": optimizer}
        if self.average:
            parts["average"] = self.average.network
        if self.accelerator.scaler is not None:
            parts["scaler"] = self.accelerator.scaler
        return parts

    @property
    def evaluated(self) -> EmbeddingNetwork:
        """The network that is validated and kept: the averaged one, if there is one."""
        return self.average.network if self.average else self.network

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or validations have not become better for too long."""
        patience = self.config.log.patience
        stopped = bool(patience) and self.progress.since_best >= patience
        done = stopped or self.progress.step >= self.config.optim.steps
        return done and not self.progress.pending

    def run(self) -> None:
        """Train from the current step to the last one."""
        main = self.accelerator.is_main_process
        if self.finished:
            if main:
                log.info(
                    "nothing left to do: the run in %s is finished (step %d of %d); raise "
                    "--optim.steps, or --log.patience if it stopped early, to go on",
                    *(self.run_dir, self.progress.step, self.config.optim.steps),
                )
            self.accelerator.end_training()
            return
        try:
            with self.stopping.watched():
                self._run()
        except BaseException:
            self.tracker.finish(failed=True)
            raise
        self.tracker.finish()
        self.accelerator.end_training()
        if main:
            log.info("done: best validation pair AUC %.4f; %s", self.progress.best, self.run_dir)

    def _run(self) -> None:
        main = self.accelerator.is_main_process
        if main:
            self._open_folder()
        with together(self.accelerator):
            self.accelerator.wait_for_everyone()
        try:
            with explain_out_of_memory(self.config, self.accelerator.num_processes):
                self._loop()
            if main:
                self._hand_over_best()
        except BaseException as error:
            if main and isinstance(error, KeyboardInterrupt) and not self.stopping.in_step:
                self._keep_state()
            if main and self.kept_step is not None:
                log.info(
                    "step %d is kept; go on from there with: train.py --resume %s",
                    *(self.kept_step, shlex.quote(str(self.run_dir.absolute()))),
                )
            raise

    def _open_folder(self) -> None:
        """Main process: the files of the run, and whoever follows it."""
        config, folder = self.config, self.run_dir
        remove_partial_files(folder)
        with whole_file(folder / "config.yaml") as partial:
            partial.write_text(as_yaml(asdict(config)))
        record_git_state(folder, self.progress.step)
        self.metrics = MetricsFile(
            folder / "metrics.csv",
            self.progress.step,
            self.progress.pending,
            single_columns(config.data),
        )
        first = next(iter(self.validations.values()))
        self.pictures = RunPictures(folder, first, config.log, config.optim.steps)
        self.tracker = open_tracker(config.log.wandb, config.log.project, folder, asdict(config))
        log.info("run folder %s (--resume goes on with it)", folder)
        what = describe(config, self.network, self.samples, self.validations, self.accelerator)
        for line in [*what, *self.pairs]:
            log.info("%s", line)

    def _loop(self) -> None:
        if self.progress.pending and self._validate():
            return
        self.network.train()
        timer = StepTimer()
        with self.batches() as steps:
            for batches in steps:
                timer.waited()
                self._step(batches, timer)
                # All processes end after the same step, if one is to end.
                with together(self.accelerator):
                    asked = self.train_step.over_processes(float(self.stopping.asked))
                if asked:
                    raise KeyboardInterrupt
                if self.progress.pending:
                    if self._validate():
                        break
                    self.network.train()
                timer.start()

    def _step(self, batches: list[TrainingBatch], timer: StepTimer) -> None:
        progress, log_options = self.progress, self.config.log
        self.stopping.in_step = True
        with together(self.accelerator):
            result = self.train_step(batches, progress.step)
        progress.step += 1
        if self.average and not self.accelerator.optimizer_step_was_skipped:
            self.average.update(self.network, progress.step)
        self.pair_count.add(result.photos)
        progress.losses.append(result.loss)
        progress.seconds += timer.stepped()
        progress.pending = self._is_time_for(log_options.validate_every)
        if self._is_time_for(log_options.every):
            self._log_row(result, timer)
            timer.restart()
        self.stopping.in_step = False

    def _is_time_for(self, every: int) -> bool:
        step = self.progress.step
        return step % every == 0 or step == self.config.optim.steps

    def batches(self) -> TrainingLoader:
        """The batches of each step that is left, for this process."""
        accelerator = self.accelerator
        return TrainingLoader(
            self.config,
            self.samples,
            self.progress.step,
            accelerator.process_index,
            accelerator.num_processes,
            pin_memory=accelerator.device.type == "cuda",
        )

    def _validate(self) -> bool:
        """Validate; write pictures, row and curves, keep the best weights and the state.

        Returns:
            Whether the run is finished.
        """
        started, progress, accelerator = time.perf_counter(), self.progress, self.accelerator
        network = self.evaluated.eval()

        def embed(photo: Any) -> Any:
            return embed_photo(network, photo, accelerator.device)

        scores = mean_over_sets(
            {name: self._scores(embed, dataset) for name, dataset in self.validations.items()}
        )
        improved = scores["pair_auc"] > progress.best
        validated = replace(
            progress,
            best=max(progress.best, scores["pair_auc"]),
            since_best=0 if improved else progress.since_best + 1,
            pending=False,
        )
        if accelerator.is_main_process:
            log.info(
                "step %d: validation pair AUC %.4f, precision@1 %.3f, R-precision %.3f, AMI %.3f "
                "(%.0f s)",
                *(progress.step, *(scores[name] for name in METRICS)),
                time.perf_counter() - started,
            )
            apart = {k.removesuffix("_pair_auc"): v for k, v in scores.items() if k not in METRICS}
            if apart:
                each = ", ".join(f"{name} {value:.4f}" for name, value in apart.items())
                log.info("these are means over the data sets; pair AUC of %s", each)
            pictures = self.pictures.draw(embed, progress.step)
            self.tracker.pictures(progress.step, pictures)
            self._keep(scores, improved)
        self.progress = validated
        # The state comes last: whatever is cut off before it will be done again.
        if accelerator.is_main_process:
            self._keep_state()
            if self.finished and progress.step < self.config.optim.steps:
                log.info("stopping early: no better validation %d times", validated.since_best)
        with together(accelerator):
            accelerator.wait_for_everyone()
        return self.finished

    def _scores(self, embed: Embed, dataset: RegionDataset) -> dict[str, float]:
        """Scores on one data set, by all processes together."""
        accelerator = self.accelerator
        own = validate_photos(
            embed,
            dataset,
            self.config.data.validation_photos,
            accelerator.process_index,
            accelerator.num_processes,
        )
        with together(accelerator):
            parts = gather_object([own])
        return summarise({k: v for part in parts for k, v in part.items()})

    def _keep(self, scores: dict[str, float], improved: bool) -> None:
        """Main process: row, curves, checkpoints."""
        step = self.progress.step
        row = validation_row(scores)
        self.metrics.add({"step": step, **row})
        self.metrics.draw(self.run_dir / "curves.png")
        self.tracker.log(step, row)
        training = {
            "step": step,
            **row,
            "seconds": round(self.progress.seconds, 1),
            "config": asdict(self.config),
        }
        for name in ("best", "last") if improved else ("last",):
            path = self.run_dir / f"{name}.safetensors"
            save_checkpoint(path, self.evaluated, self.config.model, training)

    def _keep_state(self) -> None:
        """Main process: what the run goes on from."""
        save_state(self.run_dir / "last.pt", self.progress, self._parts())
        self.kept_step = self.progress.step

    def _hand_over_best(self) -> None:
        best = self.run_dir / "best.safetensors"
        if best.is_file():
            metadata = {"val_pair_auc": self.progress.best, "model": self.config.model.name}
            self.tracker.best(self.progress.step, best, metadata)

    def _log_row(self, result: StepResult, timer: StepTimer) -> None:
        progress, optim = self.progress, self.config.optim
        share = self.pair_count.share()
        loss = sum(progress.losses) / len(progress.losses)
        progress.losses = []
        if not self.accelerator.is_main_process:
            return
        groups = self.optimizer.param_groups
        speed = timer.steps * optim.batch / timer.seconds
        row = {
            "step": progress.step,
            "loss": round(loss, 6),
            "lr": groups[0]["lr"] / groups[0]["factor"],
            "lr_head": max(group["lr"] for group in groups),
            "grad_norm": round(result.grad_norm, 4),
            "images_per_second": round(speed, 2),
            "wait_share": round(timer.waiting / timer.seconds, 3),
            "seconds": round(progress.seconds, 1),
        }
        log.info(
            "step %d/%d  loss %.4f  lr %.2e  %.1f images/s (%d %% waiting for photos)  %s left",
            *(progress.step, optim.steps, loss, row["lr"], speed, 100 * row["wait_share"]),
            hours_minutes((optim.steps - progress.step) * optim.batch / speed),
        )
        if share < 0.5:
            log.info(
                "only %d %% of these photos had two labels in their crop; the others teach nothing",
                round(100 * share),
            )
        self.metrics.add(row)
        self.tracker.log(progress.step, {k: v for k, v in row.items() if k != "step"})


def calibrate(network: EmbeddingNetwork, samples: VisitDataset, visits: int) -> None:
    """Let a network measure its statistics on the first of so many training crops."""
    photos = [samples[visit][0] for visit in range(min(CALIBRATION_PHOTOS, visits))]
    network.calibrate(torch.stack(photos) / 255)


def _has_state(run_dir: Path) -> bool:
    """Whether a run has a state to go on from; not before its first validation.

    Raises:
        InputError: It had one, and it is gone.
    """
    if (run_dir / "last.pt").is_file():
        return True
    last = run_dir / "last.json"
    if last.is_file() and json.loads(last.read_text())["training"]["step"] > 0:
        raise InputError(
            f"no training state at {run_dir / 'last.pt'}; remove {run_dir} and start this run anew"
        )
    return False
