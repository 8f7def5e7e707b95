"""Where the figures of a run go besides its folder: Weights & Biases, if wanted."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sss.errors import InputError, one_line
from sss.files import whole_file
from sss.git import git_state

log = logging.getLogger(__name__)

UPLOAD_SECONDS = 600
"""How long the end of a run waits for uploads. W&B's own default waits for ever, also where the
network went away meanwhile."""

RUN_ID_FILE = Path("wandb") / "run_id"
"""In the run's folder: which W&B run it is, so that a resumed run goes on with its own."""


class NoTracker:
    """A tracker that keeps nothing."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the figures of one step; steps do not fall."""

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Take pictures by name, (H, W, 3) uint8 each."""

    def table(self, step: int, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take a table by name; all rows have the same keys, unknown values are None."""

    def best(self, step: int, path: Path, metadata: Mapping[str, Any]) -> None:
        """Take the best checkpoint: ``path`` and the JSON file beside it."""

    def finish(self, failed: bool = False) -> None:
        """Close the run, as a failed one if it ended in an error."""


class WandbTracker(NoTracker):
    """Sends figures, pictures and the best checkpoint to Weights & Biases.

    Args:
        run: What ``wandb.init`` gave.
    """

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log the figures of one step."""
        self._run.log(dict(values), step=step)

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Log pictures by name."""
        import wandb

        images = {name: wandb.Image(picture) for name, picture in pictures.items()}
        self._run.log(images, step=step)

    def table(self, step: int, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log a table by name."""
        import wandb

        columns: list[str | int] = list(rows[0]) if rows else []
        content = [list(row.values()) for row in rows]
        # Text and unknown numbers may share a column.
        table = wandb.Table(columns=columns, data=content, allow_mixed_types=True)
        self._run.log({name: table}, step=step)

    def best(self, step: int, path: Path, metadata: Mapping[str, Any]) -> None:
        """Log the checkpoint as an artifact of type ``model``, alias ``best``.

        The files are copied at once: an offline run may be uploaded when they have changed.
        """
        import wandb

        artifact = wandb.Artifact(
            f"model-{self._run.id}", type="model", metadata={**metadata, "step": step}
        )
        for file in (path, path.with_suffix(".json")):
            artifact.add_file(str(file), skip_cache=True)
        self._run.log_artifact(artifact, aliases=["best"])

    def finish(self, failed: bool = False) -> None:
        """Upload what is left and close the run, as a failed one if it ended in an error."""
        try:
            self._run.finish(exit_code=int(failed))
        except TimeoutError:
            log.warning(
                "Weights & Biases: the upload did not end in time; `wandb sync %s` completes it",
                Path(self._run.dir).parent,
            )


def open_tracker(
    mode: str,
    project: str,
    folder: Path,
    config: Mapping[str, Any],
    option: str = "--log.wandb",
) -> NoTracker:
    """Start tracking.

    A folder that was tracked before goes on with the same W&B run. Under ``wandb agent`` project,
    id and name are the sweep's; otherwise the run is named like its folder.

    Args:
        mode: ``auto``, ``online``, ``offline`` or ``disabled``; ``auto`` goes online when
            somebody is logged in and offline, with one line, when not; WANDB_MODE comes before.
        project: W&B project.
        folder: Of the run; W&B keeps its files there.
        config: The resolved configuration; ``git_commit`` and ``git_dirty`` are added.
        option: Of the command line, that sets ``mode``; for messages.

    Raises:
        InputError: W&B refuses the credentials or the project's name, or cannot be reached
            within WANDB_INIT_TIMEOUT seconds (default 90).
    """
    if mode == "disabled" or (mode == "auto" and os.environ.get("WANDB_MODE") == "disabled"):
        return NoTracker()
    # All are read when wandb is imported. Without the second, an offline run calls home too.
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_FINISH_TIMEOUT", str(UPLOAD_SECONDS))
    os.environ.setdefault("WANDB_FINISH_TIMEOUT_RAISES", "true")
    import wandb

    if mode == "auto":
        mode = "online" if _logged_in(option) else "offline"
        if mode == "offline":
            log.info(
                "Weights & Biases: nobody is logged in, the run is kept in %s/wandb "
                "(`wandb sync` uploads it, `wandb login` or %s disabled end this line)",
                *(folder, option),
            )
    state = {f"git_{key}": value for key, value in git_state().items()}
    try:
        run = wandb.init(
            **_identity(project, folder, online=mode == "online"),
            dir=str(folder),
            mode="online" if mode == "online" else "offline",
            config={**config, **state},
            settings=wandb.Settings(console="off", silent=True),
        )
    except wandb.Error as error:
        raise _refused(error, option) from error
    with whole_file(folder / RUN_ID_FILE) as partial:
        partial.write_text(run.id)
    return WandbTracker(run)


def _identity(project: str, folder: Path, online: bool) -> dict[str, Any]:
    """Which run it is; what the environment says of it is left to W&B."""
    if os.environ.get("WANDB_SWEEP_ID"):
        return {}
    identity: dict[str, Any] = {"project": project}
    if not os.environ.get("WANDB_NAME"):
        identity["name"] = folder.resolve().name
    earlier = folder / RUN_ID_FILE
    if earlier.is_file() and not os.environ.get("WANDB_RUN_ID"):
        identity["id"] = earlier.read_text().strip()
        if online:
            identity["resume"] = "allow"
    return identity


def _logged_in(option: str = "--log.wandb") -> bool:
    """Whether W&B finds credentials here (environment or .netrc); asks no one, nor the network."""
    import wandb

    # Under WANDB_MODE=offline `login` would warn that it cannot verify anything.
    if os.environ.get("WANDB_MODE") in ("offline", "dryrun", "disabled"):
        return False
    try:
        return bool(wandb.login(prompt=False, verify=False))
    except wandb.Error as error:
        raise _refused(error, option) from error


def _refused(error: Exception, option: str) -> InputError:
    return InputError(
        f"Weights & Biases: {one_line(error)}; mend that, or give {option} offline or disabled"
    )
