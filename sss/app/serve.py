"""The command ``sss-app``, which is app.py: serves the page on this machine."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sss.app.options import AppOptions, free_port, parse_options
from sss.console import hide_library_warnings, run_main, tell
from sss.errors import InputError
from sss.processes import terminations_as_interrupts
from sss.splitter import Splitter
from sss.threads import one_thread

if TYPE_CHECKING:
    import gradio as gr

_CHECKOUT = Path(__file__).resolve().parents[2]
_EXAMPLES = ("coffee.png", "cat.png")


def main(arguments: list[str] | None = None) -> int:
    """Serve the app until it is stopped.

    Args:
        arguments: Of the command line, by default those of the program.

    Returns:
        The exit code: 0 when stopped; 2 if something given could not be used, told in one line.
    """
    return run_main(lambda: run(parse_options(arguments)))


def run(options: AppOptions) -> int:
    """Serve the page until Ctrl-C.

    Raises:
        InputError: Gradio is missing, or there is no such host or port to listen at.
    """
    hide_library_warnings()
    page, address = start(options)
    tell(f"{address} (Ctrl-C stops it)")
    # The limit holds for the process: users at the same time must not undo each other's.
    with one_thread(), terminations_as_interrupts():
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            page.close(verbose=False)
    return 0


def start(options: AppOptions) -> tuple[gr.Blocks, str]:
    """Serve the page from other threads.

    Everything that is stored lies in one new folder, which is removed at exit.

    Args:
        options: Of the command line.

    Returns:
        The page and its address.

    Raises:
        InputError: As :func:`run`.
    """
    if find_spec("gradio") is None:
        raise InputError(
            "the app needs gradio, which is not installed; pip install "
            "'semantic-soft-segmentation[app]'"
        )
    port = free_port(options.host, options.port)
    root = Path(tempfile.mkdtemp(prefix="sss-app-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    # Gradio reads these when it is imported: it shall store nothing elsewhere and call nobody.
    os.environ["GRADIO_TEMP_DIR"] = str(root / "gradio")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

    from sss.app.page import make_page
    from sss.app.sessions import Sessions
    from sss.app.stage import STATIC
    from sss.app.theme import layer_css, make_theme

    splitter = Splitter(device=options.device).load()
    page = make_page(options, splitter, Sessions(root / "sessions"), offered_photos(options))
    _, address, _ = page.launch(
        server_name=options.host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        allowed_paths=[],
        max_file_size=round(options.max_upload * 2**20),
        theme=make_theme(),
        css=(STATIC / "page.css").read_text("utf-8") + layer_css(),
    )
    return page, address


def offered_photos(options: AppOptions) -> list[Path]:
    """Photos to choose from: the command line's, else the examples of a checkout, if it is one."""
    if options.photos:
        return options.photos
    examples = [_CHECKOUT / "docs" / "examples" / name for name in _EXAMPLES]
    return [path for path in examples if path.is_file()]


if __name__ == "__main__":
    sys.exit(main())
