"""The tables in docs/lora-files.md say what is so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import interop_lycoris
import pytest
from interop_table import DOCUMENT, KINDS, LAYOUTS, SOME, Family, rows, table


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


def test_the_document_has_the_rows_of_every_family_in_both_tables_and_no_others() -> None:
    told = DOCUMENT.read_text("utf-8")
    assert table([]) in told and interop_lycoris.table([]) in told
    heads = (table([]), interop_lycoris.table([]))
    tables = [told[told.index(head) :].partition("\n\n")[0] for head in heads]
    families = [line.split()[1] for part in tables for line in part.splitlines() if line.startswith("| ")]
    assert list(dict.fromkeys(families)) == ["family", *LAYOUTS]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_family_with_every_adapter_in_every_layout(name: str, tmp_path: Path) -> None:
    families = _families(tmp_path, [name])
    found = rows(families, {name: tuple(KINDS)})
    assert all(row.trained and row.by_diffusers and row.by_us and row.same_image for row in found)
    others = interop_lycoris.rows(families, {name: tuple(interop_lycoris.KINDS)})
    assert all(row.by_us and row.same_image for row in others)
    written = [*table(found).splitlines()[2:], *interop_lycoris.table(others).splitlines()[2:]]
    assert written == [line for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith(f"| {name} |")]
