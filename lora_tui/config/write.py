"""A configuration as TOML: plain, or with a comment above each setting. Reading it back gives it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

from lora_tui.config.fields import FieldSpec, SectionSpec, range_text, sections, unit_text
from lora_tui.config.paths import map_places, shortened
from lora_tui.config.schema import Config, as_plain
from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.text import _, plain


def dump_config(config: Config, *, comments: bool = False, base: Path | None = None) -> str:
    """``config`` as TOML, every setting written out.

    With ``comments``, a line above each setting says its title, unit and range. With ``base``, places in
    that folder or beside it are written relative to it; without, they stay as they are.

    Raises:
        UserError: a text holds what TOML cannot (a file name that is not UTF-8).
    """
    data = as_plain(config)
    if base is not None:
        map_places(data, lambda text, model: shortened(text, base, model=model))
    parts = [tomli_w.dumps({"schema_version": data["schema_version"]})]
    for section in sections():
        entries = data[section.name] if section.repeated else [data[section.name]]
        parts += [_table(section, entry, comments and number == 0) for number, entry in enumerate(entries)]
    text = "\n".join(parts)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            _("A text is not UTF-8 and cannot be written: {text}.").format(text=plain(text.splitlines()[0], limit=80)),
            remedy=_("Rename the file or folder."),
            code="config.encoding",
        ) from error
    return text


def save_config(config: Config, path: Path, comments: bool = True) -> None:
    """Write ``config`` to ``path``, places relative to its folder where they lie there.

    Raises:
        UserError: the file cannot be written; what was there before is untouched.
    """
    text = dump_config(config, comments=comments, base=path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            _("The configuration cannot be written: {reason}.").format(reason=error.strerror or error),
            place=plain(str(path)),
            remedy=_("Check the folder's permissions and free space."),
            code="config.write",
        ) from error


def _table(section: SectionSpec, values: dict[str, Any], comments: bool) -> str:
    lines = [f"[[{section.name}]]" if section.repeated else f"[{section.name}]"]
    if comments:
        lines.insert(0, f"# {_(section.title)}")
    for spec in section.fields:
        if comments:
            lines.append(f"# {comment_for(spec)}")
        lines.append(_assignment(spec.name, values[spec.name]))
    return "\n".join(lines) + "\n"


def comment_for(spec: FieldSpec) -> str:
    """One line for a setting: title, unit, then its choices or its range."""
    unit = unit_text(spec)
    head = _(spec.option.title) + (f" ({unit})" if unit else "")
    allowed = ", ".join(str(choice) for choice in spec.choices) if spec.kind == "choice" else range_text(spec)
    return f"{head}: {allowed}" if allowed else head


def _assignment(name: str, value: Any) -> str:
    if isinstance(value, list):
        inner = ", ".join(tomli_w.dumps({"x": item})[4:].rstrip("\n") for item in value)
        return f"{name} = [{inner}]"
    return tomli_w.dumps({name: value}).rstrip("\n")
