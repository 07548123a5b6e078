"""How a setting and its value are written for a person, and what the search finds it by."""

from __future__ import annotations

from collections.abc import Sequence

from lora_tui.config.fields import FieldSpec, fields
from lora_tui.config.presets import Preset
from lora_tui.text import _, plain, setting_number


def value_text(spec: FieldSpec, value: object) -> str:
    """A value as the form shows it, safe to show."""
    if spec.kind == "bool":
        return _("on") if value else _("off")
    if spec.kind == "choice":
        return plain(spec.label(value))
    if isinstance(value, list):
        return plain(" ".join(str(item) for item in value))
    return plain(setting_number(value))


def rule_text(spec: FieldSpec) -> str:
    """When the setting has an effect, as words; empty when always."""
    return _(spec.option.when.text) if spec.option.when else ""


def help_text(spec: FieldSpec, presets: Sequence[Preset] = ()) -> tuple[str, str]:
    """What the setting does, and its other names: (help with default and rule, names in the file and elsewhere).

    ``presets`` are those that fit here: what they give the setting in the place of its default is told.
    """
    parts = [_(spec.option.help)]
    if spec.option.when is not None:
        parts.append(_("Only when {rule}.").format(rule=rule_text(spec)))
    default = spec.default
    if default not in ("", [], None) and not isinstance(default, list):
        parts.append(_("Default {value}.").format(value=value_text(spec, default)))
    for preset in presets:
        if preset.values.get(spec.key, default) != default:
            words = _("Preset {name}: {value}.")
            parts.append(words.format(name=preset.title, value=value_text(spec, preset.values[spec.key])))
    names = [spec.key]
    others = [name for name in spec.option.peers if name != spec.name]
    if others:
        names.append(_("elsewhere: {names}").format(names=", ".join(others)))
    return " ".join(part for part in parts if part), "  ".join(names)


def fit_of(spec: FieldSpec, query: str) -> int:
    """How well a setting that the search found is what was meant: 0 its name, 1 a name that begins so, 2 mentioned."""
    option, wanted = spec.option, query.casefold()
    names = [name.casefold() for name in (_(option.title), option.title, spec.name, spec.key, *option.peers)]
    return 0 if wanted in names else 1 if any(name.startswith(wanted) for name in names) else 2


def name_of(key: str) -> str:
    """The words for a setting by its dotted key, an entry of a list numbered; the key itself where it has none."""
    section, _dot, rest = key.partition(".")
    number, _dot, name = rest.rpartition(".")
    spec = next((one for one in fields() if one.section == section and one.name == name), None)
    if spec is None:
        return plain(key)
    return f"{_(spec.option.title)} {int(number) + 1}" if number.isdecimal() else _(spec.option.title)


def haystack(spec: FieldSpec) -> str:
    """What the search looks through: our words, the key, and the names in other programs."""
    option = spec.option
    labels = [_(label) for _value, label in option.labels]
    words = [spec.key, *option.peers, _(option.title), option.title, _(option.help), *labels]
    return " ".join(words).casefold()
