"""Translations through gettext: the locale decides, the setting or ``LORA_TUI_LANG`` overrides."""

from __future__ import annotations

import gettext
import os
from pathlib import Path

LOCALES = Path(__file__).resolve().parent.parent / "assets" / "locales"
LANGUAGES = ("en", "zh_CN")
DOMAIN = "lora_tui"

_current: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "mark, translate later"
    """Mark ``message`` for translation where it is declared; :func:`_` translates it where it is shown."""
    return message


def _(message: str) -> str:
    """``message`` in the current language; the empty string stays empty."""
    return _current.gettext(message) if message else ""


def ngettext(singular: str, plural: str, number: int) -> str:
    """The form that fits ``number`` in the current language."""
    return _current.ngettext(singular, plural, number)


def language() -> str:
    """The language in use: ``en`` or ``zh_CN``."""
    return _language


def set_language(wanted: str = "") -> str:
    """Use ``wanted`` (``en``, ``zh_CN``), or what the environment says when it is empty; return the choice."""
    global _current, _language
    _language = _choose(wanted or os.environ.get("LORA_TUI_LANG", ""))
    _current = gettext.translation(DOMAIN, LOCALES, languages=[_language], fallback=True)
    return _language


def _choose(wanted: str) -> str:
    if not wanted:
        for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
            if os.environ.get(name):
                wanted = os.environ[name]
                break
    return "zh_CN" if wanted.lower().startswith("zh") else "en"
