"""``serve``: the app in a browser, on the loopback address alone, for an SSH tunnel."""

from __future__ import annotations

import argparse
from pathlib import Path

from lora_tui.text.translate import _

PORT = 8017


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "directory",
        nargs="?",
        default=".",
        metavar="DIR",
        help=_("project or any folder; the current one when not given"),
    )
    parser.add_argument(
        "--port", type=int, default=PORT, metavar="N", help=_("port on the loopback address; 0 takes any free one")
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl+C."""
    import os
    import sys

    from lora_tui.cli.output import say
    from lora_tui.errors import UserError
    from lora_tui.jobs.process import host
    from lora_tui.tui.web import listen, serve

    directory = Path(os.path.abspath(os.path.expanduser(args.directory)))  # noqa: PTH100, PTH111 - never raises
    if not directory.is_dir():
        raise UserError(_("There is no such folder."), place=str(directory), code="serve.directory")
    ours = listen(args.port)
    port = ours.getsockname()[1]

    def said(url: str) -> None:
        say(_("Serving {folder} at {url}. Ctrl+C ends it; trainings go on.").format(folder=directory, url=url))
        say(_("From elsewhere, by a tunnel: ssh -L {port}:127.0.0.1:{port} {host}").format(port=port, host=host()))
        sys.stdout.flush()

    with ours:
        serve(directory, ours, said)
    return 0
