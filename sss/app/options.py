"""The command line of app.py."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from sss.cli.common import Parser, add_device_option
from sss.errors import InputError
from sss.image.reading import find_photos

FIRST_PORT = 7860
LAST_PORT = 7959


@dataclass(frozen=True)
class AppOptions:
    """What the command line asked for; the attributes are its options."""

    photos: list[Path]
    host: str = "127.0.0.1"
    port: int | None = None
    max_megapixels: float = 24.0
    max_upload: float = 64.0
    device: str = "auto"


def parse_options(arguments: list[str] | None = None) -> AppOptions:
    """Read the command line.

    Raises:
        InputError: Unknown options, values that make no sense, or photos that do not exist.
        SystemExit: After --help.
    """
    given = vars(_parser().parse_args(sys.argv[1:] if arguments is None else arguments))
    given["photos"] = [path.absolute() for path in find_photos(given["photos"])]
    port = given["port"]
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f"--port is {port}, expected 1 to 65535")
    for name, least in (("max_megapixels", 0.01), ("max_upload", 0.01)):
        if not given[name] >= least:
            option = "--" + name.replace("_", "-")
            raise InputError(f"{option} is {given[name]:g}, expected {least:g} or more")
    return AppOptions(**given)


def free_port(host: str, port: int | None) -> int:
    """A port that can be listened at.

    Args:
        host: Of this machine.
        port: That is wanted; None takes the first that is free from 7860 on.

    Raises:
        InputError: The host is none of this machine, or no port is free.
    """
    wanted = range(FIRST_PORT, LAST_PORT + 1) if port is None else [port]
    for one in wanted:
        try:
            found = socket.getaddrinfo(host, one, type=socket.SOCK_STREAM)
        except OSError as error:
            raise InputError(
                f"--host is '{host}', which is no address of this machine ({error.strerror}); "
                "expected one such as 127.0.0.1"
            ) from error
        try:
            with socket.create_server(found[0][4][:2], family=found[0][0]):
                return one
        except OSError as error:
            if port is not None or not _is_taken(error):
                raise InputError(
                    f"cannot listen at {host} port {one}: {error.strerror or error}; choose "
                    "another --host or --port"
                ) from error
    raise InputError(
        f"ports {FIRST_PORT} to {LAST_PORT} are all in use; choose one by --port, or stop another "
        "app"
    )


def _is_taken(error: OSError) -> bool:
    import errno

    return error.errno in (errno.EADDRINUSE, errno.EACCES)


def _parser() -> Parser:
    parser = Parser(
        description="Photos, their layers and edits in a browser. Nothing leaves this machine.",
        epilog="Exit code: 0 when stopped, 2 if something given could not be used.",
    )
    parser.add_argument(
        "photos",
        nargs="*",
        type=Path,
        metavar="PHOTO",
        help="photos to choose from; the first one is opened",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; 0.0.0.0 lets all the network in (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port", type=int, metavar="N", help=f"port to listen at (default: from {FIRST_PORT} on)"
    )
    parser.add_argument(
        "--max-megapixels",
        type=float,
        default=AppOptions.max_megapixels,
        metavar="MP",
        help=f"larger photos are refused (default: {AppOptions.max_megapixels:g})",
    )
    parser.add_argument(
        "--max-upload",
        type=float,
        default=AppOptions.max_upload,
        metavar="MB",
        help=f"larger files are refused (default: {AppOptions.max_upload:g})",
    )
    add_device_option(parser, "network and spectral core")
    return parser
