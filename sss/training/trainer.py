"""A training run in its folder: the loop around the steps, validation, checkpoints."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from sss.errors import InputError
from sss.files import remove_partial_files, whole_file
from sss.git import record_git_state
from sss.models.encoder_network import EncoderNetwork
from sss.timer import StepTimer, hours_minutes
from sss.tracking import NoTracker, open_tracker
from sss.training.accelerator import open_accelerator, together
from sss.training.average import WeightAverage
from sss.training.describe import describe
from sss.training.loader import TrainingLoader
from sss.training.memory import explain_out_of_memory
from sss.training.metrics_file import MetricsFile
from sss.training.optim import OptimizerState, build_optimizer
from sss.training.state import RunProgress, load_state, save_state
from sss.training.step import StepResult, TrainingStep
from sss.training.stopping import Stopping
from sss.training.task import Share, Task
from sss.training.validation import validation_row
from sss.yaml_files import as_yaml

log = logging.getLogger(__name__)


class Trainer:
    """One training run in one folder, on one process or several.

    The run's state after each validation is in ``last.pt``; everything random follows from the
    seed and the step, so a run that goes on from there repeats what an unbroken one would do.

    Args:
        task: What is learnt; its ``config`` is the run's.
        run_dir: Folder for checkpoints, metrics and curves; made by :meth:`run`. Only the main
            process writes to it, but on several machines all must see it to resume. See
            :func:`sss.training.run_folder.own_run_dir`.
        resume: Go on from ``run_dir/last.pt``; a run that was killed before it wrote one begins
            anew.
        accelerator: Default: what :func:`sss.training.accelerator.open_accelerator` gives.

    Raises:
        InputError: Weights or the state to resume cannot be used.
    """

    def __init__(
        self,
        task: Task,
        run_dir: Path,
        resume: bool = False,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.task = task
        self.config = config = task.config
        self.accelerator = accelerator or open_accelerator(config)
        self.run_dir = run_dir
        resume = resume and _has_state(run_dir)
        torch.manual_seed(config.seed)
        with explain_out_of_memory(config, self.accelerator.num_processes):
            self.network = self._build_network(resume)
        self.average = WeightAverage(self.network, config.optim.ema) if config.optim.ema else None
        self.optimizer = build_optimizer(self.network, config.optim)
        self.progress = RunProgress(best=task.monitor.worst, pending=True)
        if resume:
            state = load_state(self.run_dir / "last.pt", self._parts())
            if state.step > 0:  # the validation before it is made again, and counts once
                self.progress = state
        prepared: tuple[nn.Module, Any] = self.accelerator.prepare(self.network, self.optimizer)
        # Preparing lets the network itself compute in the run's precision. Training asks for that
        # at each step; validation scores what inference will compute.
        self.accelerator.unwrap_model(prepared[0], keep_fp32_wrapper=False)
        self.train_step = TrainingStep(config, self.accelerator, *prepared, task, self.run_dir)
        self.tracker: NoTracker = NoTracker()
        self.stopping = Stopping()
        self.kept_step = self.progress.step if resume else None  # on disk

    def _build_network(self, resume: bool) -> EncoderNetwork:
        device, processes = self.accelerator.device, self.accelerator.num_processes
        network = self.task.build_network(resume, 1 if device.type == "cuda" else processes)
        if processes > 1 and device.type == "cuda":
            # Batch norms over the photos of all processes; there is no such thing on CPUs.
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
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
    def evaluated(self) -> EncoderNetwork:
        """The network that is validated and kept: the averaged one, if there is one."""
        return self.average.network if self.average else self.network

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or validations have not become better for too long."""
        patience = self.config.log.patience
        stopped = bool(patience) and self.progress.since_best >= patience
        done = stopped or self.progress.step >= self.config.optim.steps
        return done and not self.progress.pending

    def run(self, part_of_more: bool = False) -> None:
        """Train from the current step to the last one.

        Args:
            part_of_more: Leave the processes connected: more is to come.
        """
        main = self.accelerator.is_main_process
        if self.finished:
            if main:
                log.info(
                    "nothing left to do: the run in %s is finished (step %d of %d); raise "
                    "--optim.steps, or --log.patience if it stopped early, to go on",
                    *(self.run_dir, self.progress.step, self.config.optim.steps),
                )
            if not part_of_more:
                self.accelerator.end_training()
            return
        try:
            with self.stopping.watched():
                self._run()
        except BaseException:
            self.tracker.finish(failed=True)
            raise
        self.tracker.finish()
        if not part_of_more:
            self.accelerator.end_training()
        if main:
            title = self.task.monitor.title
            log.info("done: best validation %s %.4f; %s", title, self.progress.best, self.run_dir)

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
                    "step %d is kept; go on from there with: %s",
                    *(self.kept_step, self.task.resume_command(self.run_dir)),
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
            self.task.columns,
            self.task.curves,
        )
        self.tracker = open_tracker(config.log.wandb, config.log.project, folder, asdict(config))
        log.info("run folder %s; to go on with it: %s", folder, self.task.resume_command(folder))
        name = self.task.network_name
        what = describe(config, name, self.network, self.accelerator)
        for line in [*what, *self.task.describe()]:
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

    def _step(self, batches: list[Any], timer: StepTimer) -> None:
        progress, log_options = self.progress, self.config.log
        self.stopping.in_step = True
        with together(self.accelerator):
            result = self.train_step(batches, progress.step)
        progress.step += 1
        if self.average and not self.accelerator.optimizer_step_was_skipped:
            self.average.update(self.network, progress.step)
        self.task.stepped(result.photos)
        progress.losses.append(result.loss)
        for name, value in result.parts.items():
            progress.parts.setdefault(name, []).append(value)
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
            self.task.samples,
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
        task, monitor, network = self.task, self.task.monitor, self.evaluated.eval()
        share = Share(accelerator.process_index, accelerator.num_processes)
        with torch.no_grad():
            own = task.examine(network, accelerator.device, share)
        with together(accelerator):
            parts = gather_object([own])
        scores = task.scores(parts)
        score = scores[monitor.name]
        improved = monitor.better(score, progress.best)
        validated = replace(
            progress,
            best=score if improved else progress.best,
            since_best=0 if improved else progress.since_best + 1,
            pending=False,
        )
        if accelerator.is_main_process:
            first, *more = task.tell(scores)
            log.info("step %d: %s (%.0f s)", progress.step, first, time.perf_counter() - started)
            for line in more:
                log.info("%s", line)
            pictures = task.draw(network, accelerator.device, progress.step, self.run_dir)
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
            self.task.save(path, self.evaluated, training)

    def _keep_state(self) -> None:
        """Main process: what the run goes on from."""
        save_state(self.run_dir / "last.pt", self.progress, self._parts())
        self.kept_step = self.progress.step

    def _hand_over_best(self) -> None:
        best = self.run_dir / "best.safetensors"
        if best.is_file():
            chosen_by = f"val_{self.task.monitor.name}"
            metadata = {chosen_by: self.progress.best, "model": self.task.network_name}
            self.tracker.best(self.progress.step, best, metadata)

    def _log_row(self, result: StepResult, timer: StepTimer) -> None:
        progress, optim = self.progress, self.config.optim
        remarks = self.task.remarks()
        loss = sum(progress.losses) / len(progress.losses)
        parts = {f"loss_{k}": sum(v) / len(v) for k, v in progress.parts.items()}
        progress.losses, progress.parts = [], {}
        if not self.accelerator.is_main_process:
            return
        groups = self.optimizer.param_groups
        speed = timer.steps * optim.batch / timer.seconds
        row = {
            "step": progress.step,
            "loss": round(loss, 6),
            **{name: round(value, 6) for name, value in parts.items()},
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
        for line in remarks:
            log.info("%s", line)
        self.metrics.add(row)
        self.tracker.log(progress.step, {k: v for k, v in row.items() if k != "step"})


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
