"""Edit parts of photos, chosen by their soft layers.

    python edit.py photo.jpg --at 320,240 --saturation -100 --invert -o out.png
    python edit.py out/photo --layers 0 --blur 12 -o out.jpg
    python edit.py out/photo --recipe recipes/portrait.yaml -o out.psd
    python edit.py photos/ --keep salient -o cutouts/

Photos are split first, unless their layers are there; --help lists the options.
"""

from __future__ import annotations

import sys

from sss.cli.edit import main

if __name__ == "__main__":
    sys.exit(main())
