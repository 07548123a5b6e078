"""``python -m lora_tui.tasks.child WORDS…``: the command ``lora-tui WORDS…``, which ends with the task it works for."""

from __future__ import annotations

import runpy
import sys

from lora_tui.orphans import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    sys.argv[0] = "lora-tui"
    runpy.run_module("lora_tui", run_name="__main__")
