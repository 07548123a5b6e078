"""What may be imported for a scan and a plan: no torch, no Pillow, no interface. Proved in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOOK = """
import sys
{body}
print(*sorted({{"torch", "PIL", "textual", "pydantic", "numpy"}} & set(sys.modules)))
"""


def imported_by(body: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format(body=body), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    "body",
    [
        "import lora_tui.captions",
        "import lora_tui.dataset.scan, lora_tui.dataset.buckets, lora_tui.dataset.batches, lora_tui.dataset.load",
        "import lora_tui.dataset.similar, lora_tui.dataset.checks, lora_tui.project",
        "import lora_tui.cli.dataset, lora_tui.cli.project",
    ],
)
def test_importing_is_light(body: str) -> None:
    assert imported_by(body) == []


def test_scanning_the_usual_formats_needs_no_pillow(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a.png", "b.jpg", "c.webp", "d.gif"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    body = (
        "from pathlib import Path; from lora_tui.dataset.scan import scan_folder;"
        "assert len(scan_folder(Path(sys.argv[1])).images) == 4"
    )
    assert imported_by(body, str(tmp_path)) == []
