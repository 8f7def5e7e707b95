"""Train a pixel-embedding network.

    python train.py --config smoke.yaml                        # a minute on a laptop, no data set
    python train.py --config unet_npair.yaml --data.root DIR   # COCO-Stuff
    python train.py --config unet_npair.yaml --dry-run         # counts and times, then stop
    python train.py --config unet_npair.yaml --optim.lr 1e-4 --run_dir runs/lower
    python train.py --resume runs/lower                        # go on after an interruption
    torchrun --nproc-per-node 4 train.py --config deeplab_npair.yaml --precision bf16

Every key of the configs can be given on the command line; --help lists them.
"""

from __future__ import annotations

import sys

from sss.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
