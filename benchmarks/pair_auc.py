"""Pair AUC of features on BSDS500: colour, position, the untrained encoder, checkpoints.

SSS_DATA=DIR python benchmarks/pair_auc.py --encoder-weights imagenet
SSS_DATA=DIR python benchmarks/pair_auc.py --checkpoint runs/mine --photos 100
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.data.base import RegionDataset, spread_evenly
from sss.data.sources import data_root, open_source
from sss.metrics.means import mean_known
from sss.metrics.pair_auc import pair_auc
from sss.models.checkpoints import DEFAULT_CHECKPOINT
from sss.models.colour import lab_embedding, with_position
from sss.models.predictor import open_predictor
from sss.models.raw_encoder import RawEncoder
from sss.models.reduction import prepare_embedding

Embed = Callable[[np.ndarray], np.ndarray]


def placed(embed: Embed) -> Embed:
    """Features and the pixel's place."""
    return lambda photo: with_position(embed(photo))


def reduced(embed: Embed) -> Embed:
    """The three dimensions that the graph's edges are made of."""
    return lambda photo: prepare_embedding(embed(photo), photo / 255)[0]


def mean_pair_auc(embed: Embed, dataset: RegionDataset, photos: int) -> float:
    """Mean over photos spread evenly over the data set."""
    scores = []
    for index in spread_evenly(len(dataset), photos):
        photo, labels = dataset[index]
        scores.append(pair_auc(embed(photo), labels, seed=index))
    return mean_known(scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder that holds bsds500/; default: SSS_DATA")
    parser.add_argument("--split", default="val")
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--checkpoint", type=Path, action="append", default=[])
    parser.add_argument("--encoder", default="tu-tf_efficientnet_lite2")
    parser.add_argument("--encoder-weights", help="imagenet, or the path of a state dict")
    options = parser.parse_args()
    dataset = open_source("bsds500", data_root(options.root), options.split)

    rows: dict[str, Embed] = {"Lab colour": lab_embedding}
    rows["Lab colour and position"] = placed(lab_embedding)
    if options.encoder_weights:
        for stages in ([4], [1, 2, 3, 4, 5]):
            name = f"untrained {options.encoder}, stages {stages}"
            rows[name] = RawEncoder(options.encoder, options.encoder_weights, stages)
            rows[f"{name}, and position"] = placed(rows[name])
    for path in options.checkpoint or [DEFAULT_CHECKPOINT]:
        predictor = open_predictor(path, "cpu")
        rows[f"{path.name}, {predictor.dim}-D"] = predictor
        rows[f"{path.name}, reduced to 3-D"] = reduced(predictor)
    print(f"pair AUC on {min(options.photos, len(dataset))} photos of BSDS500 {options.split}")
    for name, embed in rows.items():
        started = time.perf_counter()
        score = mean_pair_auc(embed, dataset, options.photos)
        print(f"{score:.4f}  {name}  ({time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
