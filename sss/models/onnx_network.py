"""A checkpoint's ONNX export run by ONNX Runtime: a CPU needs no torch for it."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from sss.errors import InputError
from sss.models.tiling import Geometry

log = logging.getLogger(__name__)

THREADS = 4
"""Threads of a network, however many cores there are: a layer is shared out among so many, and how
it is shared out shows in the last bits of the result."""

CHECKPOINT_KEY = "sss_checkpoint_sha256"
GEOMETRY_KEY = "sss_geometry"
MODEL_KEY = "sss_model"
"""Entries of the file's metadata: SHA-256 of the checkpoint that it was made from, the fields of
:class:`sss.models.tiling.Geometry`, and those of the network's config."""


def open_session(path: Path, threads: int) -> Any:
    """A network of ONNX Runtime on the processor.

    Args:
        path: Of the ONNX file.
        threads: That a layer is shared out among.

    Raises:
        Exception: Of many kinds: the file cannot be read.
    """
    # From 1.32 on its wheels report their use to Microsoft; this is how its Privacy.md says no. It
    # counts at the first import only, and whoever set it otherwise is heeded.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    options.enable_mem_pattern = False  # which is for inputs of one size
    # Waiting threads would take the processor from the steps that follow.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class OnnxNetwork:
    """An exported network behind the interface of :class:`sss.models.tiling.CellNetwork`.

    The bits of the embedding are the same on one machine, whatever number of cores the process may
    use.

    Args:
        path: Written by :func:`sss.export.export_onnx`.

    Attributes:
        geometry: The sizes of the network.
        checkpoint_sha256: Of the checkpoint that it was made from.
        device: ``cpu``.
        runtime: ``onnxruntime``.

    Raises:
        InputError: The file cannot be read, or was not made by :mod:`sss.export`.
    """

    device = "cpu"
    runtime = "onnxruntime"

    def __init__(self, path: Path) -> None:
        try:
            self._session = open_session(path, THREADS)
            stored = self._session.get_modelmeta().custom_metadata_map
            self.checkpoint_sha256: str = stored[CHECKPOINT_KEY]
            geometry = json.loads(stored[GEOMETRY_KEY])
            self.geometry = Geometry(**{**geometry, "scales": tuple(geometry["scales"])})
        except Exception as error:  # its errors have no common class but this one
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise InputError(
                f"{path} is not a network of sss.export ({reason}); export it again or remove it"
            ) from error
        self._inputs = [given.name for given in self._session.get_inputs()]
        import onnxruntime

        self._run_options = onnxruntime.RunOptions()  # give the memory back after each photo
        self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def embed_cells(self, photo: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Embed the cells of a padded photo; see :class:`sss.models.tiling.CellNetwork`."""
        given = {"photo": photo, "place": place}
        inputs = {name: given[name] for name in self._inputs}
        cells: np.ndarray = self._session.run(None, inputs, self._run_options)[0]
        return cells


def open_onnx_network(checkpoint: Path, sha256: str) -> OnnxNetwork | None:
    """The export beside a checkpoint, if there is one that belongs to it.

    Args:
        checkpoint: A ``.safetensors`` file; its export has the same name with ``.onnx``.
        sha256: Of the checkpoint.

    Raises:
        InputError: The export is there but damaged.
    """
    path = checkpoint.with_suffix(".onnx")
    if not path.is_file():
        return None
    network = OnnxNetwork(path)
    if network.checkpoint_sha256 == sha256:
        return network
    log.warning(
        "%s was made from another checkpoint than %s and is not used; run "
        "python -m sss.export %s %s",
        *(path, checkpoint, checkpoint, path),
    )
    return None
