"""What the commands share: running ``main`` with clear errors, options, checks of their values."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from sss.errors import InputError
from sss.image.resize import MIN_SIDE
from sss.suggest import nearest


class Parser(argparse.ArgumentParser):
    """Argument errors become the project's one-line errors."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{message} (--help lists the options)")

    def parse_options(self, words: list[str]) -> argparse.Namespace:
        """Parse all words; of an option that does not exist the nearest one is named.

        Raises:
            InputError: A word cannot be used.
        """
        given, left = self.parse_known_args(words)
        if left:
            known = dict.fromkeys(re.findall(r"--([a-z][a-z-]*)", self.format_help()))
            option = next((word for word in left if word.startswith("--")), "")
            near = nearest(option.strip("-").partition("=")[0], known)
            meant = f"; did you mean --{near[0]}?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(left)}{meant}")
        return given


def given_words(arguments: list[str] | None, what: str) -> list[str]:
    """The words of the command line, or ``arguments`` in their place.

    Args:
        arguments: None takes those of the program.
        what: What to give, with an example, for whoever gave nothing.

    Raises:
        InputError: There are none.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if not words:
        raise InputError(f"nothing to do; give {what} (--help lists the options)")
    return words


def add_device_option(group: argparse._ActionsContainer, what: str) -> None:
    """``--device``, of ``what``."""
    group.add_argument(
        "--device",
        default="auto",
        choices=["auto", "cpu", "cuda"],
        help=f"of {what}; auto takes a GPU if there is one (default: auto)",
    )


def add_seed_option(group: argparse._ActionsContainer) -> None:
    """``--seed``."""
    group.add_argument("--seed", type=int, default=0, help="of all random choices (default: 0)")


def add_jobs_option(group: argparse._ActionsContainer) -> None:
    """``-j``."""
    group.add_argument(
        "-j",
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="photos done at once, each in a process of its own; from 2 on, the others are done "
        "even if the system ends one for lack of memory (default: 1)",
    )


def check_values(given: dict[str, Any]) -> None:
    """Refuse impossible values of ``-j``, ``--seed`` and ``--max-side``.

    Raises:
        InputError: Names the option, what came and what was expected.
    """
    if given["jobs"] < 1:
        raise InputError(f"-j is {given['jobs']}, expected 1 or more")
    if not 0 <= given["seed"] < 2**32:
        raise InputError(f"--seed is {given['seed']}, expected 0 to {2**32 - 1}")
    if given["max_side"] is not None and given["max_side"] < MIN_SIDE:
        raise InputError(f"--max-side is {given['max_side']}, expected {MIN_SIDE} or more pixels")


def check_writable(folder: Path, option: str = "-o") -> None:
    """Find out before the work whether ``folder`` can be made and written to; make nothing.

    Args:
        folder: Where something is to be written.
        option: Of the command line, that names the folder.

    Raises:
        InputError: It cannot.
    """
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror or error}; choose another {option}"
        ) from error
