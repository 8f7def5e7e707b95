"""Make a file for inference out of a trained network.

    python -m sss.export runs/NAME NAME.safetensors    # the weights in half precision
    python -m sss.export NAME.safetensors NAME.onnx    # the network for ONNX Runtime

With the ``.onnx`` beside the ``.safetensors`` of the same name, a CPU embeds photos without torch
and on all cores. It serves that checkpoint only: export it again when the checkpoint changes.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sss.console import run_main
from sss.errors import InputError
from sss.files import file_sha256, whole_file
from sss.models.checkpoints import checkpoint_file, load_checkpoint, save_checkpoint
from sss.models.onnx_network import CHECKPOINT_KEY, GEOMETRY_KEY, MODEL_KEY, OnnxNetwork

if TYPE_CHECKING:
    import onnx

    from sss.models.base import EmbeddingNetwork

OPSET = 17
"""Version of ONNX's operators; ONNX Runtime 1.12 (2022) and later know it."""

TOLERANCE = 1e-3
"""Largest difference of the exported network from torch's, as a fraction of the largest value if
that is above one."""

LEAST_WEIGHTS = 256
"""Fewer numbers are not worth a conversion from half precision."""


def export_onnx(checkpoint: Path, path: Path, tolerance: float = TOLERANCE) -> None:
    """Write a network for ONNX Runtime, for photos of any size, and check it against torch.

    Weights that half precision holds exactly are stored in it; computed is in single precision.
    The file's metadata name the checkpoint's SHA-256, the network's config and its geometry.

    Args:
        checkpoint: A ``.safetensors`` file or a run folder of train.py.
        path: Ends in ``.onnx``.
        tolerance: Largest difference of an embedding's entries.

    Raises:
        InputError: The checkpoint cannot be read, the file not be written, onnx is not installed,
            or the network has layers that ONNX cannot express for every size of photo.
    """
    try:
        import onnx
    except ImportError as error:
        raise InputError(
            "the export needs onnx; pip install 'semantic-soft-segmentation[train]' brings it"
        ) from error
    checkpoint = checkpoint_file(checkpoint)
    network, config, _ = load_checkpoint(checkpoint)
    missing = getattr(network.backbone, "not_in_onnx", "")
    if missing:
        raise InputError(
            f"{checkpoint}: ONNX cannot express '{config.name}' ({missing}); torch runs it as it is"
        )
    with whole_file(path) as partial:
        _trace(network, partial, checkpoint)
        model = onnx.load(partial)
        _halve_weights(model)
        metadata = {
            CHECKPOINT_KEY: file_sha256(checkpoint),
            GEOMETRY_KEY: json.dumps(asdict(network.geometry)),
            MODEL_KEY: json.dumps(asdict(config)),
        }
        onnx.helper.set_model_props(model, metadata)
        onnx.save(model, partial)
        difference = _difference(network, OnnxNetwork(partial))
        if not difference <= tolerance:
            raise InputError(
                f"{checkpoint}: '{config.name}' does not compute the same in ONNX (difference "
                f"{difference:.2g}), so it is not exported; torch runs it as it is"
            )


def forget_places(training: dict[str, Any]) -> None:
    """Cut the paths of the machine that trained down to file names: a checkpoint travels."""
    config = training.get("config", {})
    data = config.get("data", {})
    model = config.get("model", {})
    places = [(model, "weights"), (model, "second_weights"), (data, "root")]
    sources = [*data.get("sources", []), data.get("validation"), *data.get("also_validated", [])]
    places += [(source, "root") for source in sources if isinstance(source, dict)]
    for section, key in places:
        if section.get(key):
            section[key] = Path(section[key]).name


def _trace(network: EmbeddingNetwork, path: Path, checkpoint: Path) -> None:
    """Write the network from padded photo to cells as torch exports it."""
    import torch

    class Cells(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, photo: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
            return self.network.embed_cells(photo, place)

    photo, place = _example(network, 3, 4, seed=0)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # Of the tracing, that sizes become constants: _difference tells whether one did.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                Cells().eval(),
                (torch.from_numpy(photo), torch.from_numpy(place)),
                path,
                input_names=["photo", "place"],
                output_names=["cells"],
                dynamic_axes={"photo": {2: "h", 3: "w"}, "cells": {0: "rows", 1: "columns"}},
                opset_version=OPSET,
                # Batch norms stay as they are: folded, the weights would need single precision.
                # ONNX Runtime folds them when it loads the file.
                training=torch.onnx.TrainingMode.PRESERVE,
                dynamo=False,
            )
    except InputError:
        raise
    except Exception as error:  # one of many kinds for each layer that ONNX lacks
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(
            f"{checkpoint} cannot be written as ONNX ({reason}); torch runs it as it is"
        ) from error


def _halve_weights(model: onnx.ModelProto) -> None:
    """Store weights in half precision where that changes none of them."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weights in model.graph.initializer:
        if weights.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(weights)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < LEAST_WEIGHTS or not np.array_equal(half.astype(np.float32), values):
            continue
        name = weights.name
        weights.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _difference(network: EmbeddingNetwork, exported: OnnxNetwork) -> float:
    """Largest difference on photos of several sizes, whole and parts of larger ones."""
    import torch

    worst = 0.0
    for seed, (rows, columns) in enumerate(((3, 4), (1, 1), (2, 7), (6, 5))):
        photo, place = _example(network, rows, columns, seed)
        with torch.inference_mode():
            cells = network.embed_cells(torch.from_numpy(photo), torch.from_numpy(place)).numpy()
        try:
            found = exported.embed_cells(photo, place)
        except Exception:  # its errors have no common class but this one
            return float("inf")
        if found.shape != cells.shape:
            return float("inf")
        worst = max(worst, float(np.abs(found - cells).max() / max(1.0, np.abs(cells).max())))
    return worst


def _example(
    network: EmbeddingNetwork, rows: int, columns: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """A photo of so many strides, and its place in one that is larger from the second seed on."""
    height, width = (max(network.stride * count, network.least_side) for count in (rows, columns))
    photo = np.random.default_rng(seed).random((1, 3, height, width), dtype=np.float32)
    beyond = seed * network.stride
    place = np.array([beyond, 0, height + beyond, width + 2 * beyond], np.int64)
    return photo, place


def _save_halved(run: Path, path: Path, scales: list[float] | None) -> None:
    """Write a run's best weights in half precision."""
    from sss.models.registry import check_scales

    network, config, training = load_checkpoint(run)
    forget_places(training)
    if scales:
        config = replace(config, scales=scales)
        check_scales(config.scales)
    save_checkpoint(path, network, config, training, half=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m sss.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="run folder or .safetensors file")
    parser.add_argument("out", type=Path, help=".safetensors or .onnx file to write")
    parser.add_argument(
        "--scales",
        type=float,
        nargs="+",
        metavar="S",
        help="for .safetensors: scales of the photo whose embeddings inference averages (default: "
        "those of the run)",
    )
    options = parser.parse_args(arguments)
    if options.out.suffix == ".onnx":
        if options.scales:
            raise InputError("--scales belongs to the checkpoint; export that with it first")
        export_onnx(options.checkpoint, options.out)
    elif options.out.suffix == ".safetensors":
        _save_halved(options.checkpoint, options.out, options.scales)
    else:
        raise InputError(f"{options.out} is neither a .safetensors nor an .onnx file; choose one")
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
