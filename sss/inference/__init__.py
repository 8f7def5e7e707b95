"""infer.py's work: options, one photo from file to folder, many photos."""

from sss.inference.options import Options, parse_options
from sss.inference.photos import run

__all__ = ["Options", "parse_options", "run"]
