"""A project: a folder with ``lora-tui.toml``, which says what is trained, on which images, on which model.

Beside that file lie ``configs/``, ``runs/`` and ``grids/``. A folder of images without the file can be
opened, too: :meth:`Project.adopt` makes a project of it in memory.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from lora_tui.dataset.scan import IMAGE_SUFFIXES
from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.places import absolute, exists, expand, flaw, is_file
from lora_tui.text import N_, _, plain
from lora_tui.toml_files import TomlError, parse_toml, read_toml

FILE_NAME = "lora-tui.toml"
SCHEMA_VERSION = 1
#: Where a new project expects its images when it has none yet.
IMAGES_FOLDER = "images"

CONCRETE, GENERAL = "concrete", "general"

#: What a LoRA can be for: the kind, which decides how many images are usual, and the words for it.
PURPOSES: Mapping[str, tuple[str, str]] = {
    "character": (CONCRETE, N_("character")),
    "object": (CONCRETE, N_("object, vehicle")),
    "clothing": (CONCRETE, N_("clothing")),
    "pose": (CONCRETE, N_("pose")),
    "element": (CONCRETE, N_("element, such as eyes or hands")),
    "style": (GENERAL, N_("style")),
    "scene": (GENERAL, N_("scene")),
    "colour": (GENERAL, N_("colour")),
    "lighting": (GENERAL, N_("lighting")),
    "concept-concrete": (CONCRETE, N_("concept: a concrete thing")),
    "concept-general": (GENERAL, N_("concept: a general impression")),
}

_LOOSE_NAMES = {"color": "colour", "vehicle": "object", "clothes": "clothing", "light": "lighting"}
_OWN_FOLDERS = frozenset({"runs", "configs", "grids", "generated"})
_LOOK_AT_MOST = 20_000

_TEXTS = ("name", "purpose", "trigger", "base_model", "currency")
_KEYS = ("schema_version", *_TEXTS, "price_per_hour", "datasets")


@dataclass
class ProjectDataset:
    """One folder of images: its absolute path, and its repeats (0: from a folder named ``N_name``, else 1)."""

    path: Path
    repeats: int = 0


@dataclass
class Project:
    """What ``lora-tui.toml`` says.

    Attributes:
        root: the project's folder, absolute.
        name: shown in the header and in new configurations.
        purpose: a key of :data:`PURPOSES`, or empty.
        trigger: the word that calls up what is trained, or empty.
        datasets: the folders of images.
        base_model: file, folder or hub name of the model to train on; a file's path is absolute.
        price_per_hour: of the machine, 0 when it costs nothing.
        currency: shown with costs.
    """

    root: Path
    name: str = ""
    purpose: str = ""
    trigger: str = ""
    datasets: list[ProjectDataset] = field(default_factory=list)
    base_model: str = ""
    price_per_hour: float = 0.0
    currency: str = ""

    @property
    def file(self) -> Path:
        return self.root / FILE_NAME

    @property
    def is_saved(self) -> bool:
        """Whether the project's file exists; an adopted folder has none until :meth:`save`."""
        return self.file.exists()

    @property
    def configs(self) -> Path:
        return self.root / "configs"

    def newest_configs(self) -> list[Path]:
        """The files of its configurations, the one written last first; none where they cannot be listed."""
        try:
            found = [path for path in self.configs.glob("*.toml") if path.is_file() and not path.name.startswith(".")]
            return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)
        except OSError:
            return []

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def grids(self) -> Path:
        return self.root / "grids"

    @property
    def kind(self) -> str:
        """``concrete`` or ``general``; empty when the purpose is not said."""
        return PURPOSES[self.purpose][0] if self.purpose in PURPOSES else ""

    @property
    def purpose_title(self) -> str:
        """The purpose in words, in the current language."""
        return _(PURPOSES[self.purpose][1]) if self.purpose in PURPOSES else ""

    @classmethod
    def load(cls, directory: Path) -> Project:
        """The project in ``directory``.

        Raises:
            UserError: there is no project file, it cannot be read, or something in it is wrong.
        """
        root = absolute(directory)
        file = root / FILE_NAME
        try:
            data = read_toml(file)
        except FileNotFoundError as error:
            raise _wrong(
                file, _("There is no project here."), _("Make one with: lora-tui new DIR"), "project.missing"
            ) from error
        except OSError as error:
            reason = plain(error.strerror or str(error))
            message = _("The project file cannot be read: {reason}.").format(reason=reason)
            raise _wrong(file, message, _("Check its permissions."), "project.unreadable") from error
        except (TomlError, UnicodeDecodeError) as error:
            message = _("The project file is not valid TOML: {reason}.").format(reason=plain(str(error)))
            raise _wrong(file, message, _("Fix that line."), "project.invalid") from error
        return _from_data(root, file, data)

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        purpose: str = "",
        trigger: str = "",
        name: str = "",
        datasets: Sequence[Path] = (),
        base_model: str = "",
        price_per_hour: float = 0.0,
        currency: str = "",
    ) -> Project:
        """Make a project in ``directory``, which may exist: writes its file and ``configs/``.

        Without ``datasets``, folders of images in ``directory`` are taken; without any, an empty
        ``images/`` is made.

        Raises:
            UserError: there is a project already, the purpose is none, or the folder cannot be written.
        """
        root = absolute(directory)
        if exists(root / FILE_NAME):
            raise _wrong(root, _("There is a project here already."), _("Open it, or choose another folder."), "exists")
        purpose = checked_purpose(purpose) if purpose else ""
        try:
            root.mkdir(parents=True, exist_ok=True)
            found = [absolute(path) for path in datasets] or _image_folders(root)
            if not found:
                found = [root / IMAGES_FOLDER]
                found[0].mkdir(exist_ok=True)
            project = cls(
                root=root,
                name=name or root.name,
                purpose=purpose,
                trigger=trigger.strip(),
                datasets=[ProjectDataset(path) for path in found],
                base_model=base_model,
                price_per_hour=price_per_hour,
                currency=currency,
            )
            project.configs.mkdir(exist_ok=True)
        except OSError as error:
            raise _unwritable(root, error) from error
        project.save()
        return project

    @classmethod
    def adopt(cls, directory: Path) -> Project:
        """A project in memory for a folder without a project file; nothing is written until :meth:`save`.

        Its dataset is the folder itself when images lie in it or in ``N_name`` folders of it, else each of
        its folders that holds images somewhere; none when there are no images at all.
        """
        root = absolute(directory)
        return cls(root=root, name=root.name, datasets=[ProjectDataset(path) for path in _image_folders(root)])

    @classmethod
    def find(cls, start: Path) -> Project | None:
        """The project of the nearest folder, from ``start`` upwards, that has a project file.

        Raises:
            UserError: that file is wrong.
        """
        here = absolute(start)
        for folder in (here, *here.parents):
            if is_file(folder / FILE_NAME):
                return cls.load(folder)
        return None

    def save(self) -> None:
        """Write the project's file; one that already says the same is left as it is, comments included.

        Raises:
            UserError: the file cannot be written, or says something that would be lost.
        """
        if self.is_saved and Project.load(self.root) == self:
            return
        try:
            write_atomic(self.file, self._as_toml().encode("utf-8"))
        except UserError:
            raise
        except OSError as error:
            raise _unwritable(self.file, error) from error
        except UnicodeEncodeError as error:
            message = _("A name in the project is not valid UTF-8 and cannot be written.")
            raise _wrong(self.file, message, _("Rename that folder."), "project.unwritable") from error

    def take_trigger(self, word: str) -> None:
        """Take another trigger word and write it into the project's file, whose other lines and comments stay.

        Raises:
            UserError: the file cannot be read or written.
        """
        self.trigger = word.strip()
        try:
            text = self.file.read_text("utf-8-sig")
            changed = _with_text(text, "trigger", self.trigger)
            if _from_data(self.root, self.file, parse_toml(changed)) == self:
                write_atomic(self.file, changed.encode("utf-8"))
                return
        except (OSError, ValueError, UserError):
            pass  # what is odd about the file, save() says
        self.save()

    def _as_toml(self) -> str:
        import tomli_w

        data: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
        data |= {key: getattr(self, key) for key in _TEXTS}
        data["base_model"] = _relative(self.root, self.base_model) if _is_place(self.base_model) else self.base_model
        data["price_per_hour"] = self.price_per_hour
        data["datasets"] = [
            {"path": _relative(self.root, os.fspath(entry.path)), "repeats": entry.repeats} for entry in self.datasets
        ]
        return tomli_w.dumps(data)


def _with_text(document: str, key: str, value: str) -> str:
    """A TOML document with another text for a key that belongs to no table; the line that is there is changed."""
    import tomli_w

    written = tomli_w.dumps({key: value}).strip()
    table = re.search(r"^[ \t]*\[", document, re.MULTILINE)
    head, tail = (document[: table.start()], document[table.start() :]) if table else (document, "")
    value_of = rf"""^({key}[ \t]*=[ \t]*)("(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
    new, number = re.subn(
        value_of, lambda found: found[1] + written.partition("= ")[2], head, count=1, flags=re.MULTILINE
    )
    if number:
        return new + tail
    lines = head.rstrip("\n")
    return (lines + "\n" if lines else "") + written + "\n" + ("\n" if tail else "") + tail


def checked_purpose(text: str) -> str:
    """The purpose that ``text`` means.

    Raises:
        UserError: it is none; ``concept`` must say which kind.
    """
    wanted = text.strip().lower().replace("_", "-").replace(" ", "-")
    wanted = _LOOSE_NAMES.get(wanted, wanted)
    if wanted in PURPOSES:
        return wanted
    if wanted == "concept":
        remedy = _("Say concept-concrete for a thing, or concept-general for an impression such as a style.")
        raise UserError(
            _("A concept is of one of two kinds."), place=plain(text), remedy=remedy, code="project.purpose"
        )
    near = difflib.get_close_matches(wanted, PURPOSES, n=1)
    remedy = _("Did you mean {name}?").format(name=near[0]) if near else _("One of: ") + ", ".join(PURPOSES)
    raise UserError(_("This purpose is not known."), place=plain(text), remedy=remedy, code="project.purpose")


def _from_data(root: Path, file: Path, data: dict[str, Any]) -> Project:
    version = data.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        message = _("The project was written by a newer version of lora-tui.")
        raise _wrong(file, message, _("Update lora-tui."), "project.newer")
    for key in data:
        if key not in _KEYS:
            raise _unknown_key(file, key, _KEYS)
    texts = {key: _typed(file, data, key, str, "") for key in _TEXTS}
    price = _typed(file, data, "price_per_hour", (int, float), 0.0)
    if not 0 <= price < float("inf"):
        raise _wrong(file, _("price_per_hour must be 0 or more."), "", "project.value")
    if texts["purpose"]:
        try:
            texts["purpose"] = checked_purpose(texts["purpose"])
        except UserError as error:
            raise _wrong(file, f"purpose: {error.message}", error.remedy, error.code) from error
    base = texts.pop("base_model")
    if message := flaw(base):
        raise _wrong(file, f"base_model: {message}", _("Give another path."), "project.path")
    return Project(
        root=root,
        datasets=[_dataset(root, file, entry) for entry in _typed(file, data, "datasets", list, [])],
        base_model=resolved_model(root, base),
        price_per_hour=float(price),
        **(texts | {"name": texts["name"] or root.name}),
    )


def _dataset(root: Path, file: Path, entry: Any) -> ProjectDataset:
    if not isinstance(entry, dict):
        raise _wrong(file, _("Each of datasets must be a table with path."), _("Write [[datasets]]."), "project.value")
    for key in entry:
        if key not in ("path", "repeats"):
            raise _unknown_key(file, f"datasets.{key}", ("path", "repeats"))
    path = _typed(file, entry, "path", str, "")
    repeats = _typed(file, entry, "repeats", int, 0)
    if not path or not 0 <= repeats <= 10_000:
        message = _("A dataset needs a path, and repeats from 0 to 10,000.")
        raise _wrong(file, message, "", "project.value")
    if message := flaw(path):
        raise _wrong(file, f"datasets.path: {message}", _("Give another path."), "project.path")
    return ProjectDataset(_resolve(root, path), repeats)


def _typed(file: Path, data: dict[str, Any], key: str, kind: type | tuple[type, ...], default: Any) -> Any:
    value = data.get(key, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        message = _("{key} has a value of the wrong type: {value}.").format(key=key, value=plain(repr(value), limit=60))
        raise _wrong(file, message, "", "project.value")
    return value


def _unknown_key(file: Path, key: str, known: Sequence[str]) -> UserError:
    near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    remedy = _("Did you mean {name}?").format(name=near[0]) if near else _("Remove it.")
    message = _("There is no setting {key} in a project.").format(key=plain(key))
    return _wrong(file, message, remedy, "project.unknown_key")


def _wrong(place: Path, message: str, remedy: str, code: str) -> UserError:
    full = code if code.startswith("project.") else f"project.{code}"
    return UserError(message, place=plain(str(place)), remedy=remedy, code=full)


def _unwritable(place: Path, error: OSError) -> UserError:
    message = _("The project cannot be written: {reason}.").format(reason=plain(error.strerror or str(error)))
    return _wrong(place, message, _("Check the folder's permissions and the space on the disk."), "project.unwritable")


def _resolve(root: Path, text: str) -> Path:
    return Path(os.path.normpath(root / expand(text)))


def resolved_model(base: Path, model: str) -> str:
    """A model on this disk as an absolute path, taken from ``base``; a hub name or nothing as it is."""
    is_local = bool(model) and (_is_place(model) or exists(base / model))
    return os.fspath(_resolve(base, model)) if is_local else model


def _is_place(model: str) -> bool:
    """Whether the text is a path for sure: ``owner/model`` may be a hub name or a folder."""
    return model.startswith(("/", "./", "../", "~")) or PurePath(model).suffix in (".safetensors", ".ckpt", ".pt")


def _relative(root: Path, path: str) -> str:
    """A path for the file: relative when it lies in the project, so that the project can be moved."""
    absolute = _resolve(root, path)
    if absolute == root:
        return "."
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else os.fspath(absolute)


def _image_folders(root: Path) -> list[Path]:
    """The folders below ``root`` that are datasets: itself, or those of its folders that hold images."""
    try:
        entries = sorted(root.iterdir())
    except OSError:
        return []
    if any(_is_image(entry.name) and entry.is_file() for entry in entries):
        return [root]
    folders = [entry for entry in entries if _may_be_dataset(entry) and _holds_image(entry)]
    if any(entry.name.partition("_")[0].isdecimal() and "_" in entry.name for entry in folders):
        return [root]
    return folders


def _may_be_dataset(folder: Path) -> bool:
    return not folder.name.startswith(".") and folder.name not in _OWN_FOLDERS and folder.is_dir()


def _is_image(name: str) -> bool:
    return PurePath(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")


def _holds_image(folder: Path) -> bool:
    """Whether an image lies somewhere below, looking at a bounded number of names."""
    for looked_at, name in enumerate(_names_below(folder)):
        if _is_image(name):
            return True
        if looked_at >= _LOOK_AT_MOST:
            return False
    return False


def _names_below(folder: Path) -> Iterator[str]:
    for _path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from files


def tag_lists(folder: Path) -> list[Path]:
    """The lists of tags that are kept for all projects, and for the one that ``folder`` belongs to.

    Raises:
        UserError: its project cannot be read.
    """
    from lora_tui.captions.complete import installed_lists

    project = Project.find(folder)
    return installed_lists(None if project is None else project.root)
