"""``python -m lora_tui.text.catalog``: gather the marked strings, update the translations, compile them.

Strings are marked by ``_``, ``N_`` and ``ngettext``. The result depends on the sources alone: no dates, no line
numbers, messages in the order of their files. Needs Babel, which the extra ``dev`` brings.
"""

from __future__ import annotations

import argparse
import io
import os
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.text.translate import DOMAIN, LANGUAGES, LOCALES

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog, Message

PACKAGE = Path(__file__).resolve().parent.parent
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}
TRANSLATED = tuple(language for language in LANGUAGES if language != "en")
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""Catalogs must have dates; one that changes would make every file differ every time."""


def template() -> Catalog:
    """All marked strings of the package, with the files they are in."""
    from babel.messages.catalog import Catalog
    from babel.messages.extract import extract_from_dir

    catalog = Catalog(project=DOMAIN, creation_date=_SOME_DAY, revision_date=_SOME_DAY)
    found = extract_from_dir(PACKAGE, [("**.py", "python")], keywords=KEYWORDS, comment_tags=("NOTE:",))
    for filename, _line, message, comments, context in sorted(found, key=lambda item: (item[0], item[1])):
        catalog.add(message, None, [(f"lora_tui/{filename}", 0)], auto_comments=comments, context=context)
    return catalog


def po_path(language: str) -> Path:
    """The file that a translator edits."""
    return LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(language: str) -> Catalog:
    """The translations into ``language`` as they are on disk; empty ones when there is no file yet."""
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import read_po

    path = po_path(language)
    if not path.exists():
        return Catalog(locale=language, project=DOMAIN, creation_date=_SOME_DAY, revision_date=_SOME_DAY)
    with path.open("rb") as file:
        return read_po(file, locale=language, domain=DOMAIN)


def updated(language: str, strings: Catalog) -> Catalog:
    """The translations into ``language`` with exactly the ``strings`` of the sources; new ones are empty."""
    catalog = read(language)
    catalog.update(strings, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.fuzzy = False
    catalog.header_comment = f"# lora-tui in {language}; written by: make i18n"
    catalog.project, catalog.version = "lora-tui", "1"
    catalog.msgid_bugs_address = catalog.last_translator = catalog.language_team = ""
    catalog.creation_date = catalog.revision_date = _SOME_DAY
    return catalog


def as_po(catalog: Catalog) -> bytes:
    """The file that a translator edits, as bytes."""
    from babel.messages.pofile import write_po

    buffer = io.BytesIO()
    write_po(buffer, catalog, width=110, include_lineno=False, ignore_obsolete=True)
    return buffer.getvalue()


def as_mo(catalog: Catalog) -> bytes:
    """The file that the program reads, as bytes."""
    from babel.messages.mofile import write_mo

    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def untranslated(catalog: Catalog) -> list[str]:
    """Messages without a translation, or with one that is not sure (fuzzy)."""
    return [_text(message) for message in catalog if message.id and (not _translations(message)[0] or message.fuzzy)]


def misfits(catalog: Catalog) -> list[str]:
    """Messages whose translation names other fields (``{count}``) than the original, which would fail when shown."""
    wrong = []
    for message in catalog:
        if message.id and _translations(message)[0]:
            wanted = fields(message.id if isinstance(message.id, str) else message.id[-1])
            if any(fields(text) != wanted for text in _translations(message)):
                wrong.append(_text(message))
    return wrong


def fields(text: str) -> frozenset[str]:
    """Names of the fields that ``str.format`` would fill in; none when the text is no format."""
    try:
        return frozenset(name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name)
    except ValueError:
        return frozenset()


def _translations(message: Message) -> tuple[str, ...]:
    texts = message.string if isinstance(message.string, tuple | list) else (message.string,)
    return tuple(str(text or "") for text in texts)


def _text(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def _outputs(strings: Catalog) -> Iterator[tuple[Path, bytes, Catalog]]:
    for language in TRANSLATED:
        catalog = updated(language, strings)
        yield po_path(language), as_po(catalog), catalog
        yield po_path(language).with_suffix(".mo"), as_mo(catalog), catalog


def main() -> int:
    """Write the files, or with ``--check`` only say whether they are fresh and complete (status 1 when not)."""
    parser = argparse.ArgumentParser(prog="python -m lora_tui.text.catalog")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when something is missing")
    options = parser.parse_args()
    stale, missing = [], []
    for path, data, catalog in _outputs(template()):
        if not path.exists() or path.read_bytes() != data:
            stale.append(path)
            if not options.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                new = path.with_name(f"{path.name}.{os.getpid()}")  # who reads meanwhile finds the old one whole
                new.write_bytes(data)
                new.replace(path)
        if path.suffix == ".po":
            missing += [f"{path.parent.parent.name}: {text}" for text in untranslated(catalog) + misfits(catalog)]
    for path in stale:
        print(f"{'stale' if options.check else 'wrote'}: {path.relative_to(PACKAGE.parent)}")
    print(f"{len(missing)} messages to translate or fix")
    for text in missing:
        print(f"  {text!r}")
    return 1 if options.check and (stale or missing) else 0


if __name__ == "__main__":
    raise SystemExit(main())
