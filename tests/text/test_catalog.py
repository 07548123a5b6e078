"""Every word a person reads has its Chinese, and the compiled file is the one that belongs to it."""

from __future__ import annotations

import pytest

from lora_tui.text import catalog
from lora_tui.text.translate import _, language, ngettext, set_language


@pytest.fixture(scope="module")
def strings() -> catalog.Catalog:
    return catalog.template()


def test_marked_strings_are_found(strings: catalog.Catalog) -> None:
    texts = {message.id if isinstance(message.id, str) else message.id[0] for message in strings if message.id}
    assert len(texts) > 500
    assert "learning rate" in texts  # from the schema, marked by N_


@pytest.mark.parametrize("wanted", catalog.TRANSLATED)
def test_every_marked_string_is_translated(wanted: str, strings: catalog.Catalog) -> None:
    current = catalog.updated(wanted, strings)
    assert catalog.untranslated(current) == [], "write them into the .po file, then: make i18n"
    assert catalog.misfits(current) == []


@pytest.mark.parametrize("wanted", catalog.TRANSLATED)
def test_the_compiled_file_is_fresh(wanted: str, strings: catalog.Catalog) -> None:
    compiled = catalog.po_path(wanted).with_suffix(".mo").read_bytes()
    assert compiled == catalog.as_mo(catalog.updated(wanted, strings)), "run: make i18n"


def test_the_program_reads_the_compiled_file() -> None:
    set_language("zh_CN")
    assert language() == "zh_CN"
    assert _("learning rate") == "学习率"
    assert _("") == ""
    assert _("no such string") == "no such string"
    set_language("en")
    assert _("learning rate") == "learning rate"


def test_chinese_has_one_plural_form_and_english_two() -> None:
    forms = "{count} file", "{count} files"
    assert (ngettext(*forms, 1), ngettext(*forms, 2)) == forms
    set_language("zh_CN")
    assert ngettext(*forms, 1) == ngettext(*forms, 2)
    assert ngettext(*forms, 1) not in forms


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{count} files", {"count"}),
        ("no field", set()),
        ("{{literal}} {name:<10}", {"name"}),
        ("an odd { brace", set()),
    ],
)
def test_fields_of_a_format(text: str, names: set[str]) -> None:
    assert catalog.fields(text) == names


def test_an_update_keeps_translations_and_drops_what_is_gone(strings: catalog.Catalog) -> None:
    from babel.messages.catalog import Catalog

    few = Catalog(project="x")
    few.add("learning rate")
    few.add("a new string {name}")
    current = catalog.updated("zh_CN", few)
    assert current.get("learning rate").string == "学习率"
    assert catalog.untranslated(current) == ["a new string {name}"]
    current.get("a new string {name}").string = "新 {other}"
    assert catalog.misfits(current) == ["a new string {name}"]
    assert len(current) == 2
