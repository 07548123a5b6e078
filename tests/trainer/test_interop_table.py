"""The tables in docs/lora-files.md say what is so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import interop_lycoris
import pytest
from interop_table import DOCUMENT, LAYOUTS, SOME, Family, rows, table


def _families(folder: Path, names: Iterable[str]) -> dict[str, Family]:
    return {name: Family(name, folder) for name in names}


def test_files_are_read_by_diffusers_and_by_us_as_documented_and_draw_the_same_image(tmp_path: Path) -> None:
    families = _families(tmp_path, SOME)
    found = rows(families, SOME)
    assert all(row.trained and row.by_diffusers and row.by_us and row.same_image for row in found)
    others = interop_lycoris.rows(families, interop_lycoris.SOME)
    assert all(row.by_lycoris is True and row.by_diffusers and row.by_us and row.same_image for row in others)
    told = DOCUMENT.read_text("utf-8").splitlines()
    written = (*table(found).splitlines(), *interop_lycoris.table(others).splitlines())
    assert [line for line in written if line not in told] == []


@pytest.mark.slow
def test_every_family_with_every_adapter_in_every_layout(tmp_path: Path) -> None:
    families = _families(tmp_path, LAYOUTS)
    found = rows(families)
    assert all(row.trained and row.by_diffusers and row.by_us and row.same_image for row in found)
    others = interop_lycoris.rows(families)
    assert all(row.by_us and row.same_image for row in others)
    document = DOCUMENT.read_text("utf-8")
    assert table(found) in document and interop_lycoris.table(others) in document
