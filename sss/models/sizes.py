"""How large the embedding is that a photo is split by."""

from __future__ import annotations

from sss.image.resize import MAX_PIXELS, fitting_size
from sss.image.resize import shrink_to_fit as shrink

__all__ = ["MAX_PIXELS", "fitting_size", "shrink"]
