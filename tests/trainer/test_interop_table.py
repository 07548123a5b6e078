"""The table in docs/lora-files.md says what is so."""

from __future__ import annotations

from pathlib import Path

import pytest
from interop_table import DOCUMENT, SOME, rows, table


def test_files_are_read_by_diffusers_and_by_us_as_documented_and_draw_the_same_image(tmp_path: Path) -> None:
    found = rows(tmp_path, SOME)
    assert all(row.trained and row.by_diffusers and row.by_us and row.same_image for row in found)
    told = DOCUMENT.read_text("utf-8").splitlines()
    assert [line for line in table(found).splitlines() if line not in told] == []


@pytest.mark.slow
def test_every_family_with_every_adapter_in_every_layout(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert all(row.trained and row.by_diffusers and row.by_us and row.same_image for row in found)
    assert table(found) in DOCUMENT.read_text("utf-8")
