"""Files and folders that a configuration names: whether they are there and are what they should be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from lora_tui.config.entries import settings_of
from lora_tui.config.family import title_of
from lora_tui.config.findings import Finding, error, note, warning
from lora_tui.config.loras import read_loras
from lora_tui.config.paths import is_hub_name
from lora_tui.config.presets import list_presets
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.families import FAMILIES, check_model, check_vae, facts_for, part_flaws, told_prediction
from lora_tui.families.hub import on_hub, whole
from lora_tui.families.parts import stamp
from lora_tui.families.source import PICKLES, gguf_error
from lora_tui.hub import is_offline
from lora_tui.places import exists, expand, is_file, is_folder
from lora_tui.text import N_, _, plain
from lora_tui.weights.header.pickles import pickle_error

Stamp = tuple[tuple[str, int, int], ...]
#: Words in the names of models that were made to draw in few steps; a word is letters of one case, or capitalised.
DISTILLED = frozenset({"turbo", "lightning", "lcm", "hyper", "schnell", "dmd"})
_HUB_PAGE = re.compile(r"https?:/+huggingface\.co/([^/\s]+/[^/?#\s]+)")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
#: Kinds of files that are no base model of any family: code, what is said, what to do.
OTHER_FILES = {
    "lora": (
        "model.is_lora",
        N_("{name} is a LoRA file, not a base model."),
        N_("Choose the checkpoint that the LoRA is trained on."),
    ),
    "vae": ("model.is_vae", N_("{name} is a VAE alone, not a base model."), N_("Choose a {family} checkpoint.")),
    "text_encoder": (
        "model.is_text_encoder",
        N_("{name} is a text encoder alone, not a base model."),
        N_("Choose a {family} checkpoint."),
    ),
    "controlnet": (
        "model.is_controlnet",
        N_("{name} is a ControlNet, not a base model."),
        N_("Choose a {family} checkpoint."),
    ),
    "embedding": (
        "model.is_embedding",
        N_("{name} is a textual inversion, not a base model."),
        N_("Choose a {family} checkpoint."),
    ),
}


def base_model(config: Config) -> Iterator[Finding]:
    """The base model: there, of the family, and not a pickle unless those are allowed."""
    base = config.model.base
    if not base:
        yield error(
            "model.base",
            _("No base model is set."),
            _("Give a .safetensors file, a diffusers folder, or a hub name such as owner/model."),
            "model.missing",
        )
        return
    path = expand(base)
    if not exists(path):
        held = whole(base) if is_hub_name(base) else None
        if held is None:
            yield _absent_model("model.base", base)
            return
        path = held
    yield from _pickle(config, "model.base", path)
    if path.suffix.lower() not in PICKLES:
        yield from _family(config, path)
        yield from _prediction(config, path)
        yield from _distilled(config, path)


def separate_vae(config: Config) -> Iterator[Finding]:
    """The VAE that replaces the model's own."""
    if not config.model.vae:
        return
    path = expand(config.model.vae)
    if not exists(path):
        yield _absent_model("model.vae", config.model.vae)
        return
    yield from _pickle(config, "model.vae", path)
    if path.suffix.lower() in PICKLES and not is_folder(path):
        return
    (_found, kind, _detail), problem = _kind_of(path)
    if problem:
        yield _unreadable("model.vae", problem)
    elif kind not in ("vae", "checkpoint") and not is_folder(path):
        yield error(
            "model.vae",
            _("{name} holds no VAE.").format(name=plain(path.name)),
            _("Choose a VAE file, or leave the setting empty to use the base model's own."),
            "model.no_vae",
        )
    elif problem := _vae_flaw(config.model.family, str(path), config.model.allow_pickle, stamp(path)):
        yield _told("model.vae", problem)


def separate_parts(config: Config) -> Iterator[Finding]:
    """Text encoders and VAE in files of their own, where a family's models come in such parts."""
    base = expand(config.model.base) if config.model.base else None
    keys = facts_for(config.model.family).separate
    if base is None or not keys or not exists(base) or not _fits(config, base):
        return
    named: dict[str, str] = {key: getattr(config.model, key) for key in keys}
    away = {key for key, text in named.items() if text and on_hub(text)}
    for key in away - {"vae"}:
        yield _absent_model(f"model.{key}", named[key])
    named = {key: "" if key in away else text for key, text in named.items()}
    there = {key: expand(text) for key, text in named.items() if text}
    stamps = tuple(stamp(path) for path in (base, *there.values()))
    for key, problem in _part_flaws(config.model.family, str(base), tuple(named.items()), stamps):
        if key not in away and (key != "vae" or not named[key]):  # which is looked at by itself
            yield _told(f"model.{key}", problem)


def _fits(config: Config, base: Path) -> bool:
    """Whether the base model is one of the family, as far as can be told: what else it is has been said already, and
    its parts would be measured against a model that it is not."""
    if base.suffix.lower() in PICKLES:
        return False
    (family, kind, _detail), problem = _kind_of(base)
    return problem is None and family == config.model.family and kind not in OTHER_FILES and not _part(base, kind)


def _part(path: Path, kind: str) -> bool:
    """Whether ``path`` is the folder of the image model alone."""
    return kind == "unet" and is_folder(path)


def folders(config: Config) -> Iterator[Finding]:
    """The dataset folders: at least one, each there once."""
    if not config.datasets:
        yield error(
            "datasets",
            _("No dataset folder is set."),
            _("Add a folder of images: datasets.0.path"),
            "datasets.missing",
        )
    seen: dict[tuple[str, int], int] = {}
    for number, entry in enumerate(config.datasets):
        key = f"datasets.{number}.path"
        if not entry.use:
            continue
        problem = _folder_problem(entry.path)
        if problem:
            yield error(key, problem, _("Give a folder of images with their captions."), "datasets.path")
            continue
        real = os.path.realpath(expand(entry.path))
        resolution = settings_of(config, number).data.resolution
        for (other, same), first in seen.items():
            if same != resolution:  # the same images at several sizes
                continue
            if real == other or real.startswith(other.rstrip("/") + "/") or other.startswith(real.rstrip("/") + "/"):
                yield warning(
                    key,
                    _("This folder and datasets.{number} hold the same images: they are shown twice as often.").format(
                        number=first
                    ),
                    _("Remove one of them, or raise the repeats instead."),
                    "datasets.twice",
                )
                break
        seen.setdefault((real, resolution), number)


def _folder_problem(text: str) -> str:
    if not text:
        return _("No dataset folder is named.")
    path = expand(text)
    if not exists(path):
        return _("There is no folder {path}.").format(path=plain(text))
    if not is_folder(path):
        return _("{path} is a file, not a folder.").format(path=plain(text))
    if not os.access(path, os.R_OK | os.X_OK):
        return _("The folder {path} may not be read.").format(path=plain(text))
    return ""


def _absent_model(key: str, text: str) -> Finding:
    if is_hub_name(text) and is_offline():
        return error(
            key,
            _("{name} is not whole in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it.").format(
                name=plain(text)
            ),
            _("Unset HF_HUB_OFFLINE (and TRANSFORMERS_OFFLINE) for the first time, or give a file or folder."),
            "model.offline",
        )
    if is_hub_name(text):
        return note(
            key,
            _("{name} is no file or folder here; it is taken as a hub name.").format(name=plain(text)),
            _("It is downloaded at the start unless the hub's cache has it."),
            "model.hub_name",
        )
    if page := _HUB_PAGE.search(text):
        return error(
            key,
            _("{text} is an address, not a model.").format(text=plain(text)),
            _("Give the model's name on the hub alone: {name}").format(name=plain(page[1])),
            "model.not_found",
        )
    return error(
        key,
        _("There is no file or folder {path}.").format(path=plain(text)),
        _("Check the path; relative ones count from the file's folder, those of --set from the current one."),
        "model.not_found",
    )


def _pickle(config: Config, key: str, path: Path) -> Iterator[Finding]:
    """A pickled file where those are not allowed; families with separate parts read none at all."""
    never = bool(facts_for(config.model.family).separate)
    if is_file(path) and path.suffix.lower() in PICKLES and (never or not config.model.allow_pickle):
        setting = "" if never else "model.allow_pickle"
        yield _told(key, pickle_error(path, key, code="model.pickle", setting=setting))


def _called(config: Config, path: Path) -> str:
    """The base model's name: that on the hub, or of its file or folder."""
    return plain(path.resolve().name or str(path) if exists(expand(config.model.base)) else config.model.base)


def _family(config: Config, path: Path) -> Iterator[Finding]:
    (family, kind, detail), problem = _kind_of(path)
    wanted, name = facts_for(config.model.family), _called(config, path)
    if problem:
        yield _unreadable("model.base", problem)
    elif kind == "pickle":
        yield _told("model.base", pickle_error(path, "model.base", code="model.pickle"))
    elif kind == "gguf":
        yield _told("model.base", gguf_error(path, "model.base"))
    elif kind in OTHER_FILES:
        code, what, remedy = OTHER_FILES[kind]
        yield error("model.base", _(what).format(name=name), _(remedy).format(family=wanted.title), code)
    elif family == "unknown":
        yield error(
            "model.base",
            _("{name} is no checkpoint that is known here.").format(name=name),
            _("Choose a {family} checkpoint.").format(family=wanted.title),
            "model.unknown",
        )
    elif family != config.model.family:
        yield _of_another_family(name, family, wanted.title)
    elif _part(path, kind):
        yield error(
            "model.base",
            _("{name} holds only a part of a model ({part}).").format(name=name, part=wanted.denoiser),
            _("Choose the folder above it, which has model_index.json."),
            "model.part",
        )
    elif kind not in ("checkpoint", "diffusers", *(("unet",) if wanted.separate else ())):
        yield error(
            "model.base",
            _("{name} holds only a part of a model ({part}).").format(name=name, part=kind),
            _("Choose a complete checkpoint with UNet, text encoder and VAE."),
            "model.part",
        )
    elif detail:
        yield error(
            "model.base",
            _("{name} is {what}, which is not trained here.").format(name=name, what=detail),
            _("Choose the plain {family} checkpoint.").format(family=wanted.title),
            "model.special",
        )
    elif problem := _model_flaw(
        config.model.family, str(path), not config.model.vae, config.model.prediction, stamp(path)
    ):
        yield _told("model.prediction" if problem.code == "model.prediction_unknown" else "model.base", problem)
    elif kind == "diffusers" and not is_file(path / "scheduler" / "scheduler_config.json"):
        yield warning(
            "model.base",
            _("{name} has no scheduler/scheduler_config.json: the noise schedule of {family} is taken.").format(
                name=name, family=wanted.title
            ),
            _("Fetch that file, too, unless you know that the model has no other schedule."),
            "model.no_scheduler",
        )


def _of_another_family(name: str, family: str, wanted: str) -> Finding:
    """A base model that is known, but of another family than the one that is set, whose title is ``wanted``."""
    said = _("{name} is a {found} model, but the family is set to {wanted}.")
    remedy = _("Choose a {family} checkpoint.").format(family=wanted)
    if family in FAMILIES:
        either = _("Set model.family to {found}, or choose a {family} checkpoint.")
        remedy = either.format(found=family, family=wanted)
    return error("model.base", said.format(name=name, found=title_of(family), wanted=wanted), remedy, "model.family")


def _prediction(config: Config, path: Path) -> Iterator[Finding]:
    """A model whose files say that it predicts something else than the setting."""
    (family, _kind, _detail), problem = _kind_of(path)
    wanted = config.model.prediction
    if wanted == "auto" or problem or family != config.model.family:
        return
    try:
        told = told_prediction(family, path)
    except UserError:  # said already
        return
    if told and told != wanted:
        yield warning(
            "model.prediction",
            _("{name} says that it predicts {told}, and it is trained as if it predicted {wanted}.").format(
                name=_called(config, path), told=plain(told, limit=40), wanted=wanted
            ),
            _("Set it back to auto, unless you know that the file is wrong."),
            "model.prediction_other",
        )


def _distilled(config: Config, path: Path) -> Iterator[Finding]:
    """A model made for few steps, which only its name can tell: its layers are those of any other."""
    name = _called(config, path)
    words = {word.lower() for word in _WORDS.findall(name)}
    if not words & DISTILLED:
        return
    adapters = [preset for preset in list_presets(family=config.model.family) if preset.kind == "base"]
    if adapters and config.model.loras:
        return  # a training adapter lies beneath
    remedy = _("Train on the model that it was made from; the LoRA then serves both.")
    if adapters:
        names = ", ".join(preset.name for preset in adapters)
        remedy += " " + _("Or merge a training adapter beneath: preset {names}.").format(names=names)
    yield warning(
        "model.base",
        _("{name} seems to be distilled for few steps: what is learned on it fits it alone.").format(name=name),
        remedy,
        "model.distilled",
    )


def _told(key: str, problem: UserError) -> Finding:
    return error(key, problem.message, problem.remedy, problem.code)


def _unreadable(key: str, problem: UserError) -> Finding:
    remedy = problem.remedy or _("Choose another file, or download it again.")
    return error(key, problem.message, remedy, "model.unreadable")


def _kind_of(path: Path) -> tuple[tuple[str, str, str], UserError | None]:
    """(family, kind, detail) of a model file or folder, or what kept it from being read, from headers alone."""
    return _kind_at(str(path), stamp(path))


@lru_cache(maxsize=64)
def _kind_at(path: str, _stamp: Stamp) -> tuple[tuple[str, str, str], UserError | None]:
    from lora_tui.weights.header.models import identify_model

    try:
        found = identify_model(Path(path))
    except UserError as problem:
        return ("unknown", "unknown", ""), problem
    return (found.family, found.kind, found.detail), None


@lru_cache(maxsize=64)
def _model_flaw(family: str, path: str, own_vae: bool, prediction: str, _stamp: Stamp) -> UserError | None:
    """What keeps the model at ``path`` from being loaded; remembered until one of its files changes."""
    try:
        check_model(family, Path(path), own_vae=own_vae, prediction=prediction)
    except UserError as problem:
        return problem
    return None


@lru_cache(maxsize=64)
def _part_flaws(
    family: str, base: str, named: tuple[tuple[str, str], ...], _stamps: tuple[Stamp, ...]
) -> tuple[tuple[str, UserError], ...]:
    return tuple(part_flaws(family, Path(base), dict(named)))


@lru_cache(maxsize=64)
def _vae_flaw(family: str, path: str, allow_pickle: bool, _stamp: Stamp) -> UserError | None:
    try:
        check_vae(family, Path(path), allow_pickle=allow_pickle)
    except UserError as problem:
        return problem
    return None


def merged_loras(config: Config) -> Iterator[Finding]:
    """LoRA files that are merged into the base model: readable, there, LoRAs, of its family."""
    try:
        loras = read_loras(config.model.loras)
    except UserError as problem:
        yield error("model.loras", problem.message, problem.remedy, problem.code)
        return
    for lora in loras:
        path = expand(lora.place)
        if not is_file(path):
            yield error(
                "model.loras",
                _("There is no file {path}.").format(path=plain(lora.place)),
                _("Check the path; relative ones count from the file's folder, those of --set from the current one."),
                "model.lora_missing",
            )
            continue
        family, kind, problem_text = _lora_at(str(path), stamp(path))
        if problem_text or not kind:
            yield error(
                "model.loras",
                problem_text or _("{name} holds nothing that can be merged.").format(name=plain(path.name)),
                _("Give files of LoRA or of LyCORIS' types, with names of layers as kohya, diffusers or ComfyUI have."),
                "model.lora_unreadable",
            )
        elif family not in (config.model.family, "unknown"):
            yield error(
                "model.loras",
                _("{name} is a LoRA of {found}, but the base model is {wanted}.").format(
                    name=plain(path.name), found=title_of(family), wanted=title_of(config.model.family)
                ),
                _("Give LoRA files of the base model's family in model.loras."),
                "model.lora_family",
            )
        elif lora.strength == 0:
            yield warning(
                "model.loras",
                _("{name} has the strength 0 and changes nothing.").format(name=plain(path.name)),
                _("Leave it out, or give it a strength."),
                "model.lora_strength",
            )


@lru_cache(maxsize=64)
def _lora_at(path: str, _stamp: Stamp) -> tuple[str, str, str]:
    """Family and kind of a LoRA file, none where it cannot be merged, and why it cannot be read."""
    from lora_tui.weights.header.format import read_header
    from lora_tui.weights.header.loras import lora_info
    from lora_tui.weights.header.others import other_layers
    from lora_tui.weights.header.whole import check_layers

    try:
        info, tensors = lora_info(Path(path)), read_header(Path(path)).tensors
        check_layers(Path(path), tensors)
        merges = info.kind in ("lora", "locon", "dora") or other_layers(tensors)
    except UserError as problem:
        return "unknown", "", f"{plain(Path(path).name)}: {problem.message}"
    return info.family, info.kind if merges else "", ""


RULES = (merged_loras, base_model, separate_vae, separate_parts, folders)
