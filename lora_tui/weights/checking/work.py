"""``lora check`` as work on LoRA files in a process of its own, see :mod:`lora_tui.weights.work`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_tui.text import plain
from lora_tui.weights.checking.check import check_lora
from lora_tui.weights.checking.told import told_lines
from lora_tui.weights.work import Report, check_stopped


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Look at each of ``files``, with ``base`` to compare widths with: ``checks`` as JSON can hold them, and ``lines``.

    Raises:
        UserError: there is no such file, or it may not be read.
        Stopped: somebody asked to.
    """
    checks: list[dict[str, Any]] = []
    lines: list[str] = []
    for text in options["files"]:
        check_stopped(report)
        path = Path(text)

        def progress(done: int, total: int, name: str = plain(path.name)) -> None:
            check_stopped(report)
            report.progress("measuring", done, total, name)

        found = check_lora(path, base=str(options.get("base", "")), progress=progress)
        checks.append(found.as_dict() | {"file": str(path)})
        lines += told_lines(found)
    return {"checks": checks, "lines": lines}
