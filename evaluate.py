"""Measure embeddings and layers on labelled photos.

    python evaluate.py --data scenes --photos 4                  # the bundled model, no data set
    python evaluate.py --config unet_npair.yaml --config small_cpu.yaml --data bsds500 -o report
    python evaluate.py --checkpoint runs/mine --method sss --method kmeans --data bsds500 -j 2
    python evaluate.py --features DIR --features lab --data bsds500 --split train
    torchrun --nproc-per-node 4 evaluate.py --config deeplab_npair.yaml --data bsds500

Open report/index.html; what was computed once is kept, and an interrupted call goes on when it is
given again. --help lists the options and the methods.
"""

from __future__ import annotations

import sys

from sss.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
