"""Fetching, unpacking and verifying the public data sets: ``python -m sss.data.prepare --help``."""
