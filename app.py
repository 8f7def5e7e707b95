"""Photos, their layers and edits in a browser.

    python app.py                        # then open the address it shows
    python app.py photo.jpg              # with a photo to begin with
    python app.py photos/ --port 8000

It listens at 127.0.0.1 alone unless told otherwise by --host; --help lists the options.
"""

from __future__ import annotations

import sys

from sss.app.serve import main

if __name__ == "__main__":
    sys.exit(main())
