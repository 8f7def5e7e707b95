"""What can be chosen by name; for command lines too, which need not import the rest for that."""

from __future__ import annotations

SOLVERS = ("coarse", "exact")
"""Of :class:`sss.spectral.segmenter.SoftSegmenter`."""

GROUPINGS = ("linkage", "kmeans")
"""Of :func:`sss.spectral.grouping.group_components`."""
