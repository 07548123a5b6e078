"""Where the parts of a model lie that has separate text encoders and a VAE, and what they must be. Knows no torch.

A folder in diffusers' layout has all parts. A single file has the transformer alone, or, as files for ComfyUI, the
encoders and the VAE, too; what it lacks is named by settings of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from lora_tui.errors import UserError
from lora_tui.families.parts import (
    DIFFUSERS_STEM,
    deciding_files,
    need,
    refuse_packed,
    weights_of,
)
from lora_tui.families.separate.kinds import Kind
from lora_tui.families.source import Source
from lora_tui.families.told import read_object
from lora_tui.places import expand, is_file, is_folder
from lora_tui.text import _, plain
from lora_tui.weights.header.format import TensorInfo, read_header

T = TypeVar("T")

ENCODERS = "text_encoder"
"""What the folders of text encoders begin with in diffusers' layout."""
#: What files for ComfyUI put before the names of the transformer.
PREFIXES = ("model.diffusion_model.", "diffusion_model.")
#: What names of tensors begin with that diffusers alone has.
DIFFUSERS = ("transformer_blocks.", "single_transformer_blocks.", "all_x_embedder.")


@dataclass(frozen=True)
class Part:
    """A part beside the transformer; a setting ``model.NAME`` can name a file or folder with it.

    Attributes:
        kind: what it is.
        title: what it is called on the screen.
        folder: its folder in diffusers' layout.
        inside: what its tensors begin with where it lies in one file with others; the usual beginning first.
        tokenizer: the folder of the tokenizer that a text encoder has in diffusers' layout.
        needs_tokenizer: whether that folder must lie beside it, because none is shipped with the program.
        words: the setting ``model.WORDS`` that names a folder with another tokenizer, where there is one.
    """

    kind: Kind
    title: str
    folder: str
    inside: tuple[str, ...]
    tokenizer: str = ""
    needs_tokenizer: bool = False
    words: str = ""


#: A family's parts by the settings that name them.
Layout = Mapping[str, Part]


@dataclass(frozen=True)
class Place:
    """Where a part lies: a folder with its configuration, or a file in which its tensors begin with ``prefix``.

    Attributes:
        words: the folder of its tokenizer, where a setting names one.
    """

    path: Path
    prefix: str = ""
    words: Path | None = None

    @property
    def is_folder(self) -> bool:
        return is_folder(self.path)


def find_places(layout: Layout, source: Source, named: Mapping[str, str]) -> dict[str, Place]:
    """Where each part of the model at ``source`` lies, ``transformer`` too; ``named`` are the settings for parts.

    Raises:
        UserError: a part is nowhere (``model.part``), or what a setting names is not that part.
    """
    found = {}
    if source.kind == "folder":
        found = {name: Place(source.path / part.folder) for name, part in layout.items()}
        found = {"transformer": Place(source.path / "transformer"), **found}
    else:
        names = read_header(source.path).tensors
        prefix = next((one for one in PREFIXES if any(name.startswith(one) for name in names)), "")
        found["transformer"] = Place(source.path, prefix)
        found |= {part: Place(source.path, prefix) for part, prefix in parts_inside(layout, source.path).items()}
    for part in layout:
        if named.get(part):
            found[part] = named_place(layout, part, expand(named[part]))
        elif part not in found:
            raise lacking(layout, part)
        found[part] = with_words(layout, part, found[part], named)
        if layout[part].needs_tokenizer:
            need_tokenizer(layout, part, found[part])
    return found


def with_words(layout: Layout, name: str, place: Place, named: Mapping[str, str]) -> Place:
    """``place`` with the tokenizer that a setting names: a folder of its own, or that in the folder of a whole model.

    Raises:
        UserError: there is no such folder.
    """
    part = layout[name]
    if not part.words or not named.get(part.words):
        return place
    folder = expand(named[part.words])
    if is_file(folder):
        raise UserError(
            _("{path} is a file, not a folder.").format(path=plain(str(folder))),
            place=f"model.{part.words}",
            remedy=_("Name the folder in which it lies."),
            code="model.missing",
        )
    if not is_folder(folder):
        raise UserError(
            _("there is no folder {path}.").format(path=plain(str(folder))),
            place=f"model.{part.words}",
            remedy=_("Check the path."),
            code="model.missing",
        )
    inside = folder / part.tokenizer
    return replace(place, words=inside if is_folder(inside) else folder)


def parts_inside(layout: Layout, path: Path) -> dict[str, str]:
    """The parts in a single file beside the transformer, with what their names begin with.

    All of them where it cannot be read: what is wrong with it is told by whoever reads it.
    """
    try:
        names = read_header(path).tensors
    except UserError:
        return {name: part.inside[0] for name, part in layout.items()}
    return {
        name: prefix
        for name, part in layout.items()
        for prefix in reversed(part.inside)
        if any(prefix + sign in names for sign in part.kind.signs)
    }


def lacking(layout: Layout, part: str) -> UserError:
    """The error for a base model without ``part``."""
    title = layout[part].title
    return UserError(
        _("the base model is the transformer alone: {part} is not in it.").format(part=title),
        place=f"model.{part}",
        remedy=_("Name a file or folder with {part}, or choose a folder in diffusers' layout.").format(part=title),
        code="model.part",
    )


def named_place(layout: Layout, name: str, path: Path) -> Place:
    """Where the part lies that the setting ``name`` says is at ``path``.

    That is a file, a folder of its own, or the folder of a whole model, of another family, too.

    Raises:
        UserError: nothing is there, or it is something else.
    """
    part = layout[name]
    if is_folder(path):
        folder = _folder_of(part, path)
        if folder is None:
            raise _holds_none(part, name, path)
        need(folder, "config.json")
        return Place(folder)
    if not is_file(path):
        raise UserError(
            _("there is no file or folder {path}.").format(path=plain(str(path))),
            place=f"model.{name}",
            remedy=_("Check the path."),
            code="model.missing",
        )
    names = read_header(path).tensors
    for prefix in ("", *part.inside):
        if any(prefix + sign in names for sign in part.kind.signs):
            return Place(path, prefix)
    raise _holds_none(part, name, path)


def _folder_of(part: Part, path: Path) -> Path | None:
    """The folder with ``part`` in the folder ``path``, or that itself; none where its configuration is another's."""
    inside, kinds = path / part.folder, part.kind.models
    usual = inside if is_folder(inside) else path
    told = _model_type(usual)
    if not (told and kinds) or told in kinds:
        return usual
    return next((other for other in sorted(path.glob(f"{ENCODERS}*")) if _model_type(other) in kinds), None)


def _model_type(folder: Path) -> str:
    """What a ``config.json`` of transformers says the model is; empty where it says nothing."""
    try:
        return str(read_object(folder / "config.json")["model_type"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return ""


def _holds_none(part: Part, name: str, path: Path) -> UserError:
    return UserError(
        _("{name} holds no {part}.").format(name=plain(path.name), part=part.title),
        place=f"model.{name}",
        remedy=_("Choose the file that the model was published with."),
        code="model.part",
    )


def tokenizer_beside(part: Part, place: Place) -> Path | None:
    """The tokenizer of a text encoder: the one that is named, or that in the same model as its folder or beside its
    file; none if none is there."""
    if place.words is not None:
        return place.words
    name = part.tokenizer
    if name and place.is_folder and place.path.name.startswith(ENCODERS):  # other families number theirs otherwise
        name = f"tokenizer{place.path.name.removeprefix(ENCODERS)}"
    folder = place.path.parent / name
    return folder if name and is_folder(folder) else None


def need_tokenizer(layout: Layout, name: str, place: Place) -> None:
    """Refuse a text encoder at ``place`` whose tokenizer is not there, or cannot serve it.

    Raises:
        UserError: where to put it.
    """
    part = layout[name]
    folder = tokenizer_beside(part, place)
    setting = f"model.{part.words or name}"
    if folder is None:
        raise UserError(
            _("{part} has no tokenizer: there is no folder {folder}.").format(
                part=part.title, folder=plain(str(place.path.parent / part.tokenizer))
            ),
            place=setting,
            remedy=(
                _("Name the folder {folder} of the published model in {setting}.")
                if part.words
                else _("Put the folder {folder} of the published model there, or name the folder of a whole model.")
            ).format(folder=part.tokenizer, setting=setting),
            code="model.tokenizer",
        )
    try:
        part.kind.check_tokenizer(folder)
    except UserError as flaw:
        raise UserError(flaw.message, place=setting, remedy=flaw.remedy, code=flaw.code) from None


def refuse_other_layouts(tensors: Mapping[str, TensorInfo], path: Path) -> None:
    """Refuse a single file whose weights are packed in a way that is not read, or which has diffusers' names.

    Raises:
        UserError: ``model.packed`` or ``model.part``.
    """
    refuse_packed(tensors, str(path))
    if any(bare(name).startswith(DIFFUSERS) for name in tensors):
        raise UserError(
            _("{name} is the transformer of a folder in diffusers' layout, on its own.").format(name=plain(path.name)),
            place=str(path),
            remedy=_("Choose the whole folder, which has model_index.json, or the file that its makers published."),
            code="model.part",
        )


def stumbled(error: Exception, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The tensor that the reading of a file's ``shapes`` broke off at: one that is missing, or has no numbers."""
    empty = (name for name, shape in shapes.items() if 0 in shape)
    return next(empty, "") if isinstance(error, ZeroDivisionError) else str(error.args[0])


def part_missing(title: str, name: str, path: Path) -> UserError:
    """The error for a file of ``title`` that lacks the tensor ``name``."""
    return UserError(
        _("a part of {family} is missing in it: {name}.").format(family=title, name=plain(name)),
        place=str(path),
        remedy=_("Fetch or copy the model again, with all its files, or choose another."),
        code="model.incomplete",
    )


def told_by_configs(folder: Path, told: Callable[[], T]) -> T:
    """What ``told`` reads in the configuration files of ``folder``.

    Raises:
        UserError: one of them says something else.
    """
    try:
        return told()
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            _("it is no readable JSON object."),
            place=str(folder),
            remedy=_("The model folder is damaged; fetch it again."),
            code="model.folder",
        ) from None


def header_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a ``.safetensors`` file's tensors.

    Raises:
        UserError: it cannot be read, or is torn or damaged.
    """
    return {name: info.shape for name, info in read_header(path).tensors.items()}


def bare(name: str) -> str:
    """A tensor's name without what files for ComfyUI put before it."""
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def bare_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """:func:`header_shapes` by bare names."""
    return {bare(name): shape for name, shape in header_shapes(path).items()}


def files_of(layout: Layout, places: Mapping[str, Place]) -> tuple[Path, ...]:
    """The files with the weights of every part."""
    found: list[Path] = []
    for name, place in places.items():
        if place.is_folder:
            found += weights_of(place.path.parent, place.path.name, _stem(layout, name)).files
        elif place.path not in found:
            found.append(place.path)
    return tuple(found)


def part_files(layout: Layout, places: Mapping[str, Place], part: str) -> tuple[Path, ...]:
    """The files that decide what ``part`` is: weights, and the configuration of a folder."""
    place = places[part]
    if not place.is_folder:
        return (place.path,)
    return deciding_files(place.path.parent, place.path.name, _stem(layout, part))


def _stem(layout: Layout, name: str) -> str:
    return layout[name].kind.stem if name in layout else DIFFUSERS_STEM
