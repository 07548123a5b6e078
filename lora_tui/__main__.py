"""``python -m lora_tui`` and the ``lora-tui`` command."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; return the exit status."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # GPUs have the numbers that nvidia-smi and F5 show
    from lora_tui.cli.main import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
