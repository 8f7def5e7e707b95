"""Fetch, unpack and verify the public data sets.

    python -m sss.data.prepare bsds500 --root datasets             # 0.07 GB
    python -m sss.data.prepare cocostuff coco-panoptic             # below $SSS_DATA; 21 GB
    python -m sss.data.prepare cocostuff --root DIR --verify       # only look, download nothing

An interrupted run goes on where it was when the same command is given again. A data set that is
complete already is verified and left alone. Archives that you have already can be put into
DIR/archives; they are checked like downloaded ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from sss.console import run_main
from sss.data.prepare.archives import DATASETS, DataSet
from sss.data.prepare.download import Retry
from sss.data.prepare.progress import gigabytes
from sss.data.prepare.steps import PrepareOptions, prepare, verify
from sss.errors import InputError


def main(
    arguments: list[str] | None = None,
    datasets: Mapping[str, DataSet] = DATASETS,
    retry: Retry | None = None,
) -> int:
    """Parse the command line and prepare the data sets; returns the exit code."""
    try:
        chosen, unknown = _parser(datasets).parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise InputError(f"{error}; --help shows the usage") from error
    if not chosen.datasets:
        raise InputError(f"name one data set or more: {', '.join(datasets)}; --help shows all")
    if unknown:
        raise InputError(f"unknown argument '{unknown[0]}'; --help shows the usage")
    if unknown := [name for name in chosen.datasets if name not in datasets]:
        raise InputError(f"unknown data set '{unknown[0]}', expected {', '.join(datasets)}")
    root = _root(chosen.root)
    if chosen.mirror is not None and not chosen.mirror.startswith(("http://", "https://")):
        raise InputError(
            f"--mirror is '{chosen.mirror}', expected an address that begins with http:// or "
            "https://; archives on a disk can be put into ROOT/archives instead"
        )
    options = PrepareOptions(chosen.mirror, chosen.keep_archives, retry or Retry())
    try:
        for name in dict.fromkeys(chosen.datasets):
            if chosen.verify:
                verify(datasets[name], root)
            else:
                prepare(datasets[name], root, options)
    except OSError as error:  # a folder that cannot be listed, a disk that fails
        reason = error.strerror or error
        raise InputError(
            f"{error.filename or root}: {reason}; check it and run it again"
        ) from error
    return 0


def _root(given: str | None) -> Path:
    from sss.data.sources import ROOT_VARIABLE, data_root  # loads SciPy: not for --help

    root = data_root(given)
    if root is None:
        raise InputError(
            f"no folder for the data sets: give --root DIR or set {ROOT_VARIABLE}, the folder "
            "that data.root of the configs names too"
        )
    if root.exists() and not root.is_dir():
        raise InputError(f"--root is {root}, which is a file, expected a folder")
    return root


def _parser(datasets: Mapping[str, DataSet]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sss.data.prepare",
        description=__doc__,
        epilog="data sets:\n\n" + "\n".join(_described(d) for d in datasets.values()),
        exit_on_error=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "datasets", nargs="*", metavar="DATASET", help=f"one or more of {', '.join(datasets)}"
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        help="folder of all data sets (default: the environment's SSS_DATA)",
    )
    parser.add_argument("--verify", action="store_true", help="only say what is missing")
    parser.add_argument(
        "--keep-archives", action="store_true", help="keep the archives in DIR/archives"
    )
    parser.add_argument(
        "--mirror",
        metavar="URL",
        help="fetch URL/train2017.zip and so on, in place of the official addresses",
    )
    return parser


def _described(dataset: DataSet) -> str:
    download = gigabytes(sum(archive.bytes for archive in dataset.archives))
    unpacked = gigabytes(sum(archive.unpacked for archive in dataset.archives))
    urls = "".join(f"    {gigabytes(a.bytes):>8}  {a.url}\n" for a in dataset.archives)
    return (
        f"  {dataset.name}: {dataset.title}\n"
        f"    downloads {download}, takes about {unpacked} on the disk, in DIR/{dataset.homes[0]}\n"
        f"    {dataset.terms}\n{urls}"
    )


if __name__ == "__main__":
    sys.exit(run_main(main))
