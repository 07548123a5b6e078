"""The user's settings, and where configuration, cache, data and state live on this machine.

``LORA_TUI_HOME`` moves all four folders under one; ``LORA_TUI_CONFIG`` names another settings file.
Otherwise the XDG folders hold. Knows nothing of projects, runs or screens.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import kind_of, write_atomic
from lora_tui.places import absolute
from lora_tui.text import _, plain
from lora_tui.toml_files import TomlError, parse_toml, read_toml

APP = "lora-tui"
NOTICES = ("auto", "osc9", "osc777", "off")
IMAGE_MODES = ("auto", "halfcell", "kitty", "sixel", "ascii", "off")
KEYMAP_NAMES = ("", "vim", "conventional", "bdtm")
RECENT_LIMIT = 20


@dataclass(frozen=True)
class Settings:
    """What a person has chosen for every project. Empty text leaves the choice to the environment.

    Attributes:
        language: ``en``, ``zh_CN`` or empty (the locale decides).
        theme: name of a theme, or empty for the default.
        ascii: draw with ASCII characters only.
        slow: repaint sparingly, for a slow link.
        images: how pictures are drawn: ``auto`` (as the environment hints), ``halfcell``, ``kitty`` and ``sixel`` (the
            terminal's own graphics), ``ascii``, or ``off`` (no pictures in the terminal).
        keymap: a ready-made keymap: ``vim`` (which empty means, too), ``conventional`` or ``bdtm``.
        publish: where LoRA files are handed on to: a folder of ComfyUI, A1111 or LoRA files, or ``host:folder``.
        lora_folders: folders whose LoRA files are listed beside those of the project.
        encoders: models that look at the pictures of grids: folders or names on the hub (:mod:`lora_tui.scores.named`).
        bell: whether the terminal's bell rings for an alarm and at the end of a run.
        desktop: the escape that makes a desktop notification of them: ``auto`` (as the environment hints), ``osc9``,
            ``osc777`` or ``off``.
        slurm: what Slurm is asked for unless a command says something else (:mod:`lora_tui.jobs.slurm.options`).
        keys: action id to its keys, replacing the keys that the action has by default.
    """

    language: str = ""
    theme: str = ""
    ascii: bool = False
    slow: bool = False
    images: str = "auto"
    keymap: str = ""
    publish: str = ""
    lora_folders: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()
    bell: bool = True
    desktop: str = "auto"
    slurm: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def config_dir() -> Path:
    """The folder of settings, themes and keymaps; made when it is missing."""
    return _folder("config")


def cache_dir() -> Path:
    """The folder of what can be computed again: latents, text embeddings, thumbnails, hashes."""
    return _folder("cache")


def data_dir() -> Path:
    """The folder of what a person put there for every project, such as tag lists."""
    return _folder("data")


def state_dir() -> Path:
    """The folder of what the program remembers: living jobs, recent projects, crash files."""
    return _folder("state")


def settings_file() -> Path:
    """The settings file: ``LORA_TUI_CONFIG``, else ``settings.toml`` in :func:`config_dir`."""
    named = os.environ.get("LORA_TUI_CONFIG", "")
    return absolute(named, "LORA_TUI_CONFIG") if named else config_dir() / "settings.toml"


def load_settings() -> Settings:
    """The settings from their file; the defaults when there is none.

    Raises:
        UserError: the file cannot be read, is no TOML, or holds an unknown key or a wrong value.
    """
    path = settings_file()
    return _of(_data(path), path)


def usable_settings() -> tuple[Settings, tuple[UserError, ...]]:
    """The settings as far as they can be understood, with the defaults for the rest, and what is wrong with that."""
    try:
        path = settings_file()
        data = _data(path)
    except UserError as error:
        return Settings(), (error,)
    known = {item.name: item for item in fields(Settings)}
    values: dict[str, Any] = {}
    wrong: list[UserError] = []
    for name, value in data.items():
        try:
            if name not in known:
                raise _unknown(name, known, path)
            if name == "keys" and isinstance(value, dict):
                values[name] = {}
                for action, given in _named_keys(value):
                    try:
                        values[name] |= _checked_keys({action: given}, path)
                    except UserError as error:
                        wrong.append(error)
            else:
                values[name] = _checked(name, value, path)
        except UserError as error:
            wrong.append(error)
    return Settings(**values), tuple(wrong)


def _data(path: Path) -> dict[str, Any]:
    """The tables of the settings file; empty when there is none. Raises as :func:`load_settings`."""
    try:
        if kind := kind_of(path.stat().st_mode):
            raise _bad_file(path, _("it is {kind}").format(kind=kind), "settings.unreadable")
        return read_toml(path)
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise _bad_file(path, _("it is not UTF-8 text"), "settings.encoding") from error
    except TomlError as error:
        raise _bad_file(path, str(error), "settings.syntax") from error
    except UserError:
        raise
    except OSError as error:
        raise _bad_file(path, error.strerror or str(error), "settings.unreadable") from error


def save_settings(settings: Settings) -> None:
    """Write ``settings``, keeping the comments and the order of an existing file, but for those below changed keys.

    Raises:
        UserError: the existing file cannot be understood (it is left as it is) or cannot be written.
    """
    path = settings_file()
    old = load_settings()
    try:
        text = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _edited(text, old, settings, path).encode())
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            _("The settings cannot be written: {reason}.").format(reason=error.strerror or error),
            place=plain(str(path)),
            remedy=_("Check the folder's permissions and free space."),
            code="settings.write",
        ) from error


def recent_projects() -> tuple[Path, ...]:
    """Folders of recently opened projects that still exist, newest first."""
    try:
        names = json.loads((state_dir() / "recent.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    if not isinstance(names, list):
        return ()
    return tuple(Path(name) for name in names if isinstance(name, str) and Path(name).is_dir())


def remember_project(folder: Path) -> None:
    """Put ``folder`` in front of :func:`recent_projects`; a state folder that cannot be written is let be."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - a link to a project keeps its own name
    others = [path for path in recent_projects() if path != folder]
    names = [os.fsencode(path).decode("utf-8", "replace") for path in [folder, *others][:RECENT_LIMIT]]
    try:
        write_atomic(state_dir() / "recent.json", json.dumps(names, ensure_ascii=False).encode(), durable=False)
    except OSError:
        return


def _folder(kind: str) -> Path:
    home = os.environ.get("LORA_TUI_HOME", "")
    if home:
        path = absolute(home, "LORA_TUI_HOME") / kind
    else:
        import platformdirs  # only here: the moved home needs nothing of it

        path = Path(getattr(platformdirs, f"user_{kind}_path")(APP))
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            _("The folder cannot be made: {reason}.").format(reason=error.strerror or error),
            place=plain(str(path)),
            remedy=_("Set LORA_TUI_HOME to a folder that can be written."),
            code="settings.folder",
        ) from error
    return path


def _of(data: Mapping[str, Any], path: Path) -> Settings:
    known = {item.name: item for item in fields(Settings)}
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name not in known:
            raise _unknown(name, known, path)
        values[name] = _checked(name, value, path)
    return Settings(**values)


def _checked(name: str, value: object, path: Path) -> object:
    if name in ("ascii", "slow", "bell"):
        if isinstance(value, bool):
            return value
        raise _wrong(name, value, _("true or false"), path)
    if name == "keys":
        return _checked_keys(value, path)
    if name == "slurm":
        if isinstance(value, dict):
            return value
        raise _wrong(name, value, _("a table such as [slurm]"), path)
    if name in ("lora_folders", "encoders"):
        if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            return tuple(value)
        raise _wrong(name, value, _("a list of folders") if name == "lora_folders" else _("a list of models"), path)
    if not isinstance(value, str):
        raise _wrong(name, value, _("a text"), path)
    if name == "images" and value == "half":  # its older name
        return "halfcell"
    if name == "images" and value not in IMAGE_MODES:
        raise _wrong(name, value, _("one of {choices}").format(choices=", ".join(IMAGE_MODES)), path)
    if name == "desktop" and value not in NOTICES:
        raise _wrong(name, value, _("one of {choices}").format(choices=", ".join(NOTICES)), path)
    if name == "keymap" and value not in KEYMAP_NAMES:
        raise _wrong(name, value, _("one of {choices}").format(choices=", ".join(KEYMAP_NAMES[1:])), path)
    if name == "language" and value not in ("", "en", "zh_CN"):
        raise _wrong(name, value, _("one of {choices}").format(choices="en, zh_CN"), path)
    return value


def _checked_keys(value: object, path: Path) -> dict[str, tuple[str, ...]]:
    expected = _('a table of action = "key" or action = ["key", "key"]')
    if not isinstance(value, dict):
        raise _wrong("keys", value, expected, path)
    keys: dict[str, tuple[str, ...]] = {}
    for action, given in _named_keys(value):
        listed = [given] if isinstance(given, str) else given
        if not isinstance(listed, list) or not all(isinstance(key, str) and key for key in listed):
            raise _wrong(f"keys.{action}", given, expected, path)
        keys[action] = tuple(listed)
    return keys


def _named_keys(table: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    """Actions with what stands for their keys; TOML reads ``dataset.order = "o"`` without quotes as nested tables."""
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from _named_keys(value, f"{head}{name}.")
        else:
            yield head + name, value


def _edited(text: str, old: Settings, new: Settings, path: Path) -> str:
    """``text`` with the changed settings in place; written anew when an edit would not read back."""
    changed = {item.name for item in fields(Settings) if getattr(old, item.name) != getattr(new, item.name)}
    if not changed:
        return text
    edited = text
    if "keys" in changed:
        edited = _with_keys(text, new)
    for name in sorted(changed - {"keys"}):
        edited = _with_line(edited, name, getattr(new, name))
    try:
        return edited if _of(parse_toml(edited), path) == new else _written(new)
    except (UserError, TomlError):
        return _written(new)


def _with_line(text: str, name: str, value: object) -> str:
    line = _assignment(name, value)
    head, table, rest = _split_at_first_table(text)
    pattern = re.compile(rf"^[ \t]*{re.escape(name)}[ \t]*=[^\n#]*", re.MULTILINE)
    if pattern.search(head):
        return (
            pattern.sub(lambda found: line + (" " if found.group().endswith(" ") else ""), head, count=1) + table + rest
        )
    kept = head.rstrip()
    gap = head[len(kept) :].lstrip("\n") or ("\n" if table else "")
    return f"{kept}\n{line}\n{gap}{table}{rest}".lstrip("\n")


def _with_keys(text: str, settings: Settings) -> str:
    """Tables stand behind everything else, and the keys behind the only other one."""
    import tomli_w

    head, _table, _rest = _split_at_first_table(text)
    keys = {action: list(keys) for action, keys in settings.keys.items()}
    tables = {name: table for name, table in (("slurm", settings.slurm), ("keys", keys)) if table}
    return (head.rstrip() + "\n\n" + tomli_w.dumps(tables) if tables else head).lstrip("\n")


def _split_at_first_table(text: str) -> tuple[str, str, str]:
    found = re.search(r"^[ \t]*\[", text, re.MULTILINE)
    return (text, "", "") if not found else (text[: found.start()], found.group(), text[found.end() :])


def _assignment(name: str, value: object) -> str:
    import tomli_w  # only where something is written

    if isinstance(value, tuple):  # in one line, which can be found and replaced again
        texts = (tomli_w.dumps({"one": text}).rstrip("\n").removeprefix("one = ") for text in value)
        return f"{name} = [{', '.join(texts)}]"
    return tomli_w.dumps({name: value}).rstrip("\n")


def _written(settings: Settings) -> str:
    import tomli_w

    data = asdict(settings)
    data["keys"] = {action: list(keys) for action, keys in settings.keys.items()}
    default = asdict(Settings())
    return tomli_w.dumps({name: value for name, value in data.items() if value != default[name]})


def _bad_file(path: Path, reason: str, code: str) -> UserError:
    return UserError(
        _("The settings cannot be read: {reason}.").format(reason=reason),
        place=plain(str(path)),
        remedy=_("Fix the file or move it away; it is left as it is."),
        code=code,
    )


def _wrong(name: str, value: object, expected: str, path: Path) -> UserError:
    return UserError(
        _("{value} is not allowed; it must be {expected}.").format(
            value=plain(repr(value), limit=80), expected=expected
        ),
        place=f"{plain(str(path))}: {plain(name)}",
        code="settings.value",
    )


def _unknown(name: str, known: Mapping[str, object], path: Path) -> UserError:
    close = difflib.get_close_matches(name, known, n=1)
    return UserError(
        _("This setting is not known."),
        place=f"{plain(str(path))}: {plain(name)}",
        remedy=_("Did you mean {name}?").format(name=close[0])
        if close
        else _("Known are {names}.").format(names=", ".join(known)),
        code="settings.unknown_key",
    )
