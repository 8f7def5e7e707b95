"""Fetching, unpacking and verifying the public data sets: ``python -m data.prepare --help``."""
