"""The table in docs/lora-files.md says what is so."""

from __future__ import annotations

from pathlib import Path

from interop_table import DOCUMENT, rows, table


def test_files_of_every_family_and_adapter_are_read_by_diffusers_and_by_us_as_documented(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert all(row.trained and row.by_diffusers and row.by_us for row in found)
    assert table(found) in DOCUMENT.read_text("utf-8")
