"""``python -m lora_tui`` and the ``lora-tui`` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; return the exit status."""
    from lora_tui.cli.main import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
