"""Split photos into soft layers.

    python infer.py photo.jpg                        # writes out/photo/
    python infer.py photos/ -o layers --layers auto -j 2
    python infer.py photo.jpg --checkpoint runs/mine --solver exact
    python infer.py photo.jpg --features features.npy
    torchrun --nproc-per-node 2 --max-restarts 3 infer.py photos/ -o layers

Each photo gets a folder for its layers; --help lists the options.
"""

from __future__ import annotations

import sys

from sss.cli.split import main

if __name__ == "__main__":
    sys.exit(main())
