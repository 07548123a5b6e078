"""Whether the parts of a model are there and whole, from configuration files and headers. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.families.blocks import check_blocks
from lora_tui.families.parts import DIFFUSERS_STEM, need, refuse_packed, tensors_of, weights_of
from lora_tui.families.separate.places import (
    Layout,
    Part,
    Place,
    header_shapes,
    lacking,
    named_place,
    need_tokenizer,
    part_missing,
    parts_inside,
    stumbled,
    tokenizer_beside,
    told_by_configs,
    with_words,
)
from lora_tui.families.separate.tensors import need_shapes
from lora_tui.families.source import Source
from lora_tui.families.tokenizers import check_tokenizer
from lora_tui.families.told import read_config, unusual
from lora_tui.places import expand, is_file
from lora_tui.text import _, plain
from lora_tui.weights.header.format import TensorInfo, read_header
from lora_tui.weights.header.models import identify_model

TIMESTEPS = 1000
"""Of the schedules that training follows."""


def check_part(layout: Layout, name: str, path: Path, named: Mapping[str, str] | None = None) -> None:
    """Refuse what the setting ``model.NAME`` names when it is not that part, or damaged; ``named`` are all settings.

    Raises:
        UserError: what is missing or wrong.
    """
    part, place = layout[name], with_words(layout, name, named_place(layout, name, path), named or {})
    if part.needs_tokenizer:
        need_tokenizer(layout, name, place)
    if place.is_folder:
        there = tensors_of(weights_of(place.path.parent, place.path.name, part.kind.stem), place.path.parent)
        config = told_by_configs(place.path, lambda: read_config(place.path / "config.json"))
        check_folder_part(part, config, there, place)
        return
    refuse_packed(read_header(place.path).tensors, str(path))
    check_file_part(part, place)


def check_schedule(folder: Path) -> None:
    """Refuse the model in ``folder`` whose levels of noise are none that training follows.

    Raises:
        UserError: the setting, with its file.
    """
    path = folder / "scheduler" / "scheduler_config.json"
    if not is_file(path):
        return
    told = told_by_configs(path, lambda: read_config(path))
    if told.get("num_train_timesteps", TIMESTEPS) != TIMESTEPS:
        raise unusual(path, "num_train_timesteps", told["num_train_timesteps"])
    first, last = (told.get(f"{end}_image_seq_len") for end in ("base", "max"))
    if first is not None and last is not None and first >= last:
        raise unusual(path, "base_image_seq_len", first)


def check_words(part: Part, place: Place, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse the tokenizer that lies beside a text encoder when it is damaged, or has words that this does not know.

    Args:
        wanted: the tensors of the encoder, that of the words first.

    Raises:
        UserError: what is wrong.
    """
    folder = tokenizer_beside(part, place) if part.tokenizer else None
    if folder is not None:
        check_tokenizer(folder, next((shape[0] for shape in wanted.values()), None))


def check_file_part(part: Part, place: Place) -> None:
    """Refuse a ``part`` in a file that is another, or has gaps.

    Raises:
        UserError: what is missing or wrong.
    """
    shapes, prefix, kind = header_shapes(place.path), place.prefix, part.kind
    try:
        kind.check_shapes(shapes, prefix, place.path)
        wanted = kind.tensors(shapes, prefix)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise part_missing(part.title, stumbled(error, shapes), place.path) from None
    own = {kind.own_name(name.removeprefix(prefix)): shape for name, shape in shapes.items() if name.startswith(prefix)}
    need_shapes(wanted, own, f"{place.path}: {part.title}")
    check_words(part, place, wanted)


def check_folder_part(part: Part, config: Mapping[str, Any], there: Mapping[str, TensorInfo], place: Place) -> None:
    """Refuse a part in a folder whose configuration tells of another kind, or whose weights are not those it tells.

    Raises:
        UserError: what is missing or wrong.
    """
    kind, folder = part.kind, place.path
    check_blocks(config, there, folder)
    kind.check_config(config, folder)
    wanted = told_by_configs(folder, lambda: kind.tensors_told(config))
    need_shapes(wanted, {kind.own_name(name): info.shape for name, info in there.items()}, str(folder))
    check_words(part, place, wanted)


def part_flaws(layout: Layout, base: Path, named: Mapping[str, str]) -> list[tuple[str, UserError]]:
    """See :func:`lora_tui.families.part_flaws`; a base model that cannot be read is no matter of its parts."""
    inside = parts_inside(layout, base) if is_file(base) else layout
    found = []
    for part in layout:
        try:
            if named.get(part):
                check_part(layout, part, expand(named[part]), named)
            elif part not in inside:
                raise lacking(layout, part)
            elif layout[part].needs_tokenizer:
                place = Place(base if is_file(base) else base / layout[part].folder)
                need_tokenizer(layout, part, with_words(layout, part, place, named))
        except UserError as flaw:
            words = layout[part].words
            found.append((words if words and flaw.place == f"model.{words}" else part, flaw))
    return found


def width_flaw(layout: Layout, name: str, path: Path, wanted: int) -> UserError | None:
    """What is wrong with a text encoder at ``path`` for a transformer that reads features ``wanted`` wide."""
    part, place = layout[name], named_place(layout, name, path)
    try:
        width = width_at(part, place)
    except (UserError, OSError, ValueError, KeyError, TypeError, IndexError, ZeroDivisionError):
        return None  # said already, or nothing to be told by
    if width == wanted:
        return None
    return UserError(
        _("{name} is another encoder than {part}: its features are {width} wide, and the base reads {wanted}.").format(
            name=plain(path.name), part=part.title, width=width, wanted=wanted
        ),
        place=f"model.{name}",
        remedy=_("Choose the file that the model was published with."),
        code="model.part",
    )


def width_at(part: Part, place: Place) -> int:
    """How wide the features are that the text encoder at ``place`` gives.

    Raises:
        UserError, OSError, ValueError, KeyError, TypeError: that cannot be told.
    """
    if place.is_folder:
        return part.kind.width_told(read_config(place.path / "config.json"))
    return part.kind.width(header_shapes(place.path), place.prefix)


def check_kind(source: Source, family: str, title: str) -> None:
    """Refuse a base model that is none of ``family``, which is called ``title``, or is pickled.

    Raises:
        UserError: what it is.
    """
    if source.kind == "pickle":
        raise UserError(
            _("{family} is not read from pickled files.").format(family=title),
            place=str(source.path),
            remedy=_("Use the .safetensors file, or a folder in diffusers' layout."),
            code="model.pickle",
        )
    kind = identify_model(source.path)
    if kind.family != family or kind.kind not in ("checkpoint", "unet", "diffusers"):
        found = kind.detail or (kind.kind if kind.family == "unknown" else f"{kind.family} {kind.kind}")
        raise UserError(
            _("it is no {family} checkpoint but {found}.").format(family=title, found=found),
            place=str(source.path),
            remedy=_("Choose a base model of the family that model.family names."),
            code="model.family",
        )


def check_folder(layout: Layout, folder: Path, *, own_vae: bool) -> None:
    """Refuse a folder in diffusers' layout with gaps; without ``own_vae`` its VAE is not used.

    Raises:
        UserError: a file is missing, or torn.
    """
    parts = {"transformer": None, **{part.folder: part for part in layout.values()}}
    need(folder, *(f"{name}/config.json" for name in parts))
    for name, part in parts.items():
        if own_vae or name != "vae":
            there = tensors_of(weights_of(folder, name, part.kind.stem if part else DIFFUSERS_STEM), folder)
            config = told_by_configs(folder / name, partial(read_config, folder / name / "config.json"))
            if part is None:
                check_blocks(config, there, folder / name)
            else:
                check_folder_part(part, config, there, Place(folder / name))
    check_schedule(folder)
