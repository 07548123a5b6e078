"""The door: a file of another program becomes a configuration, with the fate of every one of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.config.schema import Config
from lora_tui.exchange import ai_toolkit, commands, flux_trainer, kohya_ss, lora_scripts, metadata, one_trainer, sd_data
from lora_tui.exchange.draft import Draft, Given
from lora_tui.exchange.fate import Fate, Imported, Row, told_value
from lora_tui.exchange.kinds import Found, find_kind, one_level
from lora_tui.exchange.lora_scripts import Options
from lora_tui.exchange.places import Places
from lora_tui.exchange.reading import read_bytes, read_toml_text, refused, text_of
from lora_tui.exchange.sd_network import ARGS as NETWORK_ARGS
from lora_tui.exchange.sd_scripts import family_of_script, translated
from lora_tui.exchange.told import OURS, family_told, with_ours
from lora_tui.places import is_file
from lora_tui.text import _, plain


def import_file(path: Path, kind: str = "", onto: Config | None = None) -> Imported:
    """What the file ``path`` says, as a configuration, and what became of each of its keys.

    Args:
        kind: what a person says that it is, one of :data:`~lora_tui.exchange.kinds.FORMATS`; empty looks for itself.
        onto: the configuration that files which say only a part are put into: those of datasets.

    Raises:
        UserError: it cannot be read, is none that is known, or is not of ``kind``.
    """
    path = Path(path).absolute()
    raw = read_bytes(path)
    found = find_kind(path, raw, kind)
    places = Places(path.parent)
    result = _READERS[found.kind](found, places, onto)
    notes = list(result.notes)
    if found.twice:
        names = ", ".join(dict.fromkeys(plain(name, limit=40) for name in found.twice[:20]))
        notes.append(_("Given more than once, the last one counts: {names}.").format(names=names))
    if places.missing:
        notes.append(_("Places that are not on this machine: {count}.").format(count=places.missing))
    return replace(result, notes=tuple(notes))


def _sd_scripts(found: Found, places: Places, onto: Config | None) -> Imported:
    data = dict(found.data)
    ours = data.pop(OURS, {})
    values = one_level(data)
    draft = translated(values, places, family=family_told(ours))
    return with_ours(draft.finished("sd-scripts"), ours, _described(values, places))


def _described(values: Mapping[str, Any], places: Places) -> Path | None:
    """The file of datasets that options name; none where they name none."""
    told = str(values.get("dataset_config") or "")
    return Path(Places(places.folder).find(told)[0]) if told else None


def _dataset(found: Found, places: Places, onto: Config | None) -> Imported:
    draft = Draft(Given({}), onto)
    draft.config.datasets = []
    sd_data.take_described(draft, found.data, places)
    return draft.finished("sd-scripts-dataset")


def _command(found: Found, places: Places, onto: Config | None) -> Imported:
    twice: list[str] = []
    try:
        values, script = commands.options_of(found.text, twice)
    except ValueError:
        raise refused(found.path, _("The command line cannot be read: a quote is left open.")) from None
    if not values:
        raise refused(found.path, _("It starts no training: there is no option in it."))
    ours: dict[str, Any] = {}
    config_file = str(values.get("config_file") or "")
    names: dict[str, str] = {}
    missing = False
    if config_file:
        place, _note = places.find(config_file if "." in Path(config_file).name else f"{config_file}.toml")
        if missing := not is_file(Path(place)):
            values.pop("config_file")
        else:
            data = read_toml_text(Path(place), text_of(Path(place), read_bytes(Path(place))))
            ours = data.pop(OURS, {})
            inner = one_level(data)
            names = {name: f"{Path(place).name}: {name}" for name in inner if name not in values}
            values = {**inner, **values}
    draft = translated(values, places, family=family_told(ours) or family_of_script(script))
    result = _rekeyed(draft.finished("command"), names)
    if missing:
        row = Row("config_file", told_value("", config_file), Fate.UNKNOWN, {}, _("nothing is there on this machine"))
        result = replace(result, rows=(row, *result.rows))
    if twice:
        named = ", ".join(dict.fromkeys(twice))
        note = _("Given more than once, the last one counts: {names}.").format(names=named)
        result = replace(result, notes=(*result.notes, note))
    return with_ours(result, ours, _described(values, places))


def _lora_scripts(found: Found, places: Places, onto: Config | None) -> Imported:
    return _valued(_of_options("lora-scripts", lora_scripts.options_of(found.data), places), one_level(found.data))


def _kohya(found: Found, places: Places, onto: Config | None) -> Imported:
    return _valued(_of_options("kohya-ss", kohya_ss.options_of(found.data), places), found.data)


def _script(found: Found, places: Places, onto: Config | None) -> Imported:
    values, names, family = commands.options_of_variables(found.text)
    options = Options(values=values, names=names, family=family)
    if values.get("network_module") != "lycoris.kohya" and NETWORK_ARGS in values:
        for text in values.pop(NETWORK_ARGS):
            options.idle[text.partition("=")[0]] = _("of LyCORIS alone")
    if "model_type" in values:
        options.told["model_type"] = str(values.pop("model_type"))
    options.values = {**{key: value for key, value in commands.FIXED.items() if key not in values}, **values}
    options.names.update({key: f"({key})" for key in commands.FIXED if key not in values})
    return _valued(_of_options("lora-scripts-script", options, places), commands.variables_of(found.text))


def _of_options(kind: str, options: Options, places: Places) -> Imported:
    """The configuration of a face of sd-scripts, told by the keys that its own file has."""
    share = options.values.pop("(share)", None)
    draft = translated(options.values, places, family=options.family)
    if share is not None:
        draft.put("learning.text_encoder_share", share)
    result = _rekeyed(draft.finished(kind), options.names)
    rows = list(result.rows)
    by_key = {row.key: row for row in rows}
    if share is not None:
        key = options.names["(share)"]
        rows.append(Row(key, f"{share * 100:g}", Fate.TRANSLATED, {"learning.text_encoder_share": share}))
    for key, option in options.told.items():
        shown = options.names.get(option, option)
        other = by_key.get(shown)
        if key in by_key:
            continue
        settings = dict(other.settings) if other else {"model.family": draft.config.model.family}
        rows.append(Row(key, "" if other else option, other.fate if other else Fate.TRANSLATED, settings))
    rows += [Row(key, "", Fate.IDLE, {}, why) for key, why in options.idle.items() if key not in by_key]
    return replace(result, config=draft.finished(kind).config, rows=tuple(rows), notes=(*result.notes, *options.notes))


def _valued(result: Imported, data: Mapping[str, Any]) -> Imported:
    """The report with the values that the file itself has."""
    rows = (replace(row, value=told_value(row.key, data.get(row.key)) or row.value) for row in result.rows)
    return replace(result, rows=tuple(rows))


def _rekeyed(result: Imported, names: Mapping[str, str]) -> Imported:
    """The report with the keys that the file itself has."""
    rows: dict[str, Row] = {}
    for row in result.rows:
        key = names.get(row.key, row.key)
        if key in rows:
            before = rows[key]
            rows[key] = replace(before, settings={**before.settings, **row.settings})
        else:
            rows[key] = replace(row, key=key)
    return replace(result, rows=tuple(rows.values()))


def _ai_toolkit(found: Found, places: Places, onto: Config | None) -> Imported:
    return ai_toolkit.imported(found.data, places)


def _one_trainer(found: Found, places: Places, onto: Config | None) -> Imported:
    return one_trainer.imported(found.data, places)


def _workflow(found: Found, places: Places, onto: Config | None) -> Imported:
    return flux_trainer.imported(found.path, found.data, places)


def _metadata(found: Found, places: Places, onto: Config | None) -> Imported:
    data = {str(key): value for key, value in found.data.items()} if found.data else metadata.read(found.path)
    if not any(key.startswith("ss_") for key in data):
        message = _("The file says nothing of how it was trained.")
        raise refused(found.path, message, _("Only files of sd-scripts and its faces do."))
    return metadata.imported(data, places)


_READERS = {
    "sd-scripts": _sd_scripts,
    "sd-scripts-dataset": _dataset,
    "command": _command,
    "lora-scripts": _lora_scripts,
    "lora-scripts-script": _script,
    "kohya-ss": _kohya,
    "ai-toolkit": _ai_toolkit,
    "onetrainer": _one_trainer,
    "flux-trainer": _workflow,
    "lora-file": _metadata,
}
