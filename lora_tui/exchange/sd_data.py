"""Images and captions of sd-scripts: its options, and the TOML that describes datasets (docs/config_README-en.md)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.config.schema import UNETS
from lora_tui.errors import UserError
from lora_tui.exchange.draft import Draft, Given, is_empty, is_on
from lora_tui.exchange.fate import Fate, told_value
from lora_tui.exchange.places import Places
from lora_tui.exchange.reading import read_bytes, read_toml_text, text_of
from lora_tui.exchange.sd_keys import STRAIGHT
from lora_tui.exchange.sd_network import float_of
from lora_tui.places import is_file
from lora_tui.text import _

MOST_FOLDERS = 2000
#: option of a subset -> the same of an entry of ours
OWN: Mapping[str, str] = {
    "flip_aug": "flip", "shuffle_caption": "shuffle", "keep_tokens": "keep_tokens", "caption_dropout_rate": "dropout",
    "caption_tag_dropout_rate": "tag_dropout", "caption_prefix": "prefix", "caption_suffix": "suffix",
    "caption_extension": "extensions", "batch_size": "batch_size", "resolution": "resolution",
}  # fmt: skip
GENERAL = (
    "enable_bucket", "bucket_no_upscale", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps", "color_aug",
    "random_crop", "face_crop_aug_range", "keep_tokens_separator", "secondary_separator", "enable_wildcard",
    "caption_dropout_every_n_epochs", "token_warmup_min", "token_warmup_step", "alpha_mask", "caption_separator",
    "validation_split", "validation_seed", "cache_info", "resize_interpolation",
)  # fmt: skip
"""Options of a subset that hold for all folders here."""
SUBSET = (
    "image_dir",
    "num_repeats",
    "class_tokens",
    "is_reg",
    "metadata_file",
    "conditioning_data_dir",
    "custom_attributes",
)
SWITCHES = ("flip", "shuffle")


@dataclass(frozen=True)
class _Folder:
    """A subset with what it inherits: the place of each of its options, and their values."""

    place: str
    values: Mapping[str, Any]
    keys: Mapping[str, str]


def take(draft: Draft, places: Places) -> None:
    """Read everything about images and captions; what a file of datasets says counts more than the options."""
    given = draft.given
    _sizes(draft)
    _captions(draft)
    _changes(draft)
    if "dataset_config" in given:
        _described(draft, places, str(given.get("dataset_config")))
    for key, of_class in (("train_data_dir", False), ("reg_data_dir", True)):
        if key not in given:
            continue
        if draft.config.datasets and "dataset_config" in given:
            draft.idle(key, _("dataset_config describes the folders"))
            continue
        place, note = places.find(given.get(key))
        values: dict[str, Any] = {"path": place, "regularisation": of_class}
        if of_class:
            values["missing"] = "{folder}"
        elif not draft.config.captions.missing:
            draft.put("captions.missing", "{folder}")  # the words in the folders' names
        draft.entry("datasets", key, values, note)


def take_described(draft: Draft, data: Mapping[str, Any], places: Places) -> None:
    """Read the TOML of datasets ``data``, whose keys are told as ``datasets.0.subsets.0.image_dir``."""
    folders = list(_folders(data))
    if not folders:
        draft.notes.append(_("The file describes no folder."))
        return
    told: dict[str, Any] = {}
    for key, value in _all_keys(data):
        told[key] = value
    draft.given.told.update(told)
    first = next((one for one in folders if not is_on(one.values.get("is_reg"))), folders[0])
    _first(draft, first)
    for folder in folders:
        _entry(draft, folder, first, places)
    known = {*OWN, *GENERAL, *SUBSET}
    for key, value in told.items():
        name = key.rpartition(".")[2]
        if draft.known(key):
            continue
        if name in known or name == "network_multiplier":
            draft.tell(key, Fate.IDLE, {}, _("holds for all folders alike here: that of the first counts"))
        elif not is_empty(value):
            draft.tell(key, Fate.UNKNOWN, {})


def _described(draft: Draft, places: Places, text: str) -> None:
    place, note = places.find(text)
    path = Path(place)
    if not is_file(path):
        draft.tell("dataset_config", Fate.UNKNOWN, {}, note or _("nothing is there on this machine"))
        return
    try:
        data = read_toml_text(path, text_of(path, read_bytes(path)))
    except UserError as error:
        draft.tell("dataset_config", Fate.UNKNOWN, {}, error.message)
        return
    take_described(draft, data, Places(path.parent))
    draft.tell("dataset_config", Fate.TRANSLATED, {"datasets": len(draft.config.datasets)}, note)


def _folders(data: Mapping[str, Any]) -> Iterator[_Folder]:
    """Every subset with what it inherits from its dataset and from the general part."""
    general = data.get("general") if isinstance(data.get("general"), dict) else {}
    datasets = data.get("datasets")
    for number, dataset in enumerate(datasets if isinstance(datasets, list) else []):
        if not isinstance(dataset, dict):
            continue
        subsets = dataset.get("subsets")
        for inner, subset in enumerate(subsets if isinstance(subsets, list) else []):
            if not isinstance(subset, dict):
                continue
            place = f"datasets.{number}.subsets.{inner}"
            levels = (("general", general), (f"datasets.{number}", dataset), (place, subset))
            values: dict[str, Any] = {}
            keys: dict[str, str] = {}
            for level, table in levels:
                for name, value in (table or {}).items():
                    if name != "subsets":
                        values[_renamed(name)] = value
                        keys[_renamed(name)] = f"{level}.{name}"
            yield _Folder(place, values, keys)


def _renamed(name: str) -> str:
    return "caption_extension" if name == "caption_extention" else name


def _all_keys(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if key == "general" and isinstance(value, dict):
            yield from ((f"general.{name}", one) for name, one in value.items())
        elif key == "datasets" and isinstance(value, list):
            for number, dataset in enumerate(one for one in value if isinstance(one, dict)):
                for name, one in dataset.items():
                    if name != "subsets" or not isinstance(one, list):
                        yield f"datasets.{number}.{name}", one
                        continue
                    for inner, subset in enumerate(part for part in one if isinstance(part, dict)):
                        yield from ((f"datasets.{number}.subsets.{inner}.{n}", v) for n, v in subset.items())
        else:
            yield key, value


def _first(draft: Draft, folder: _Folder) -> None:
    """What holds for all folders, from the first of them: told by the options of the same names."""
    values = {name: folder.values[name] for name in (*GENERAL, *OWN) if name in folder.values}
    if "batch_size" in values:
        values["train_batch_size"] = values.pop("batch_size")
    apart = Draft(Given(values), draft.config)
    apart.straight({name: STRAIGHT[name] for name in values if name in STRAIGHT})
    _sizes(apart)
    _captions(apart)
    _changes(apart)
    if float_of(values.get("validation_split")) > 0:
        apart.take("validation_split", {"validation.mode": "on", "validation.share": values["validation_split"]})
    apart.idle("validation_seed", _("validation is always measured with the same noise, on all held out images"))
    apart.idle(("cache_info", "resize_interpolation"), _("images are loaded ahead by themselves"))
    draft.config = apart.config
    rows = {row.key: row for row in apart.finished("").rows}
    for name, key in folder.keys.items():
        row = rows.get("train_batch_size" if name == "batch_size" else name)
        if row is not None:
            draft.tell(key, row.fate, row.settings, row.note)


def _entry(draft: Draft, folder: _Folder, first: _Folder, places: Places) -> None:
    """One subset as an entry; what is as in the first needs no words of its own."""
    if len(draft.config.datasets) >= MOST_FOLDERS:
        return
    place, note = places.find(folder.values.get("image_dir", ""))
    values: dict[str, Any] = {"path": place}
    for name, ours in (("num_repeats", "repeats"), ("class_tokens", "missing"), ("is_reg", "regularisation")):
        if not is_empty(folder.values.get(name)):
            values[ours] = is_on(folder.values[name]) if name == "is_reg" else folder.values[name]
    values.setdefault("repeats", 1)
    of_class = is_on(folder.values.get("is_reg"))
    for name, ours in OWN.items():
        told, same = folder.values.get(name), folder.values.get(name) == first.values.get(name)
        if name not in folder.values or (same and not (of_class and ours in ("prefix", "suffix"))):
            continue
        if ours in SWITCHES:
            values[ours] = "on" if is_on(told) else "off"
        else:
            values[ours] = side_of(told) if name == "resolution" else told
    good = draft.entry("datasets", "", values)
    number = len(draft.config.datasets) - 1
    for name, key in folder.keys.items():
        if not key.startswith(folder.place) and draft.known(key):
            continue
        named = {"image_dir": "path", "num_repeats": "repeats", "class_tokens": "missing", "is_reg": "regularisation"}
        mine = named.get(name) or OWN.get(name, "")
        if mine in values:
            told = {f"datasets.{number}.{mine}": values[mine]}
            fate = (
                Fate.TAKEN if told_value(key, folder.values[name]) == told_value(key, values[mine]) else Fate.TRANSLATED
            )
            draft.tell(key, fate if good else Fate.UNKNOWN, told, note if name == "image_dir" else "")
        elif name in (*OWN, *GENERAL) and folder.values[name] == first.values.get(name) and not draft.known(key):
            draft.tell(key, Fate.TAKEN, {}, _("as in the first folder"))
        elif name == "metadata_file":
            draft.tell(key, Fate.UNKNOWN, {}, _("captions are files beside the images"))
        elif name == "conditioning_data_dir":
            draft.put("masks.source", "file")
            draft.put("masks.normalise", False)
            note_of = _("masks are files beside the images, or in a folder called masks")
            draft.tell(key, Fate.TRANSLATED, {"masks.source": "file"}, note_of)
        elif name == "custom_attributes":
            draft.tell(key, Fate.IDLE, {}, _("of another kind of training than a LoRA"))


def side_of(value: Any) -> Any:
    """``512``, ``"512,768"`` or ``[512, 768]`` as the side of a square of that area, px; what is none as it is."""
    parts = value if isinstance(value, (list, tuple)) else str(value).strip("[]() ").replace("x", ",").split(",")
    try:
        numbers = [float(str(part)) for part in parts if str(part).strip()][:2]
        if not numbers or any(not math.isfinite(number) or number <= 0 for number in numbers):
            return value
        return round(math.sqrt(numbers[0]) * math.sqrt(numbers[-1]))  # each for itself: their product may be infinite
    except ValueError:
        return value


def _sizes(draft: Draft) -> None:
    given = draft.given
    if "resolution" in given:
        side = side_of(given.get("resolution"))
        square = str(side) == str(given.get("resolution")) or isinstance(given.get("resolution"), (int, float))
        parts = {part.strip() for part in str(given.get("resolution")).strip("[]() ").replace("x", ",").split(",")}
        note = "" if square or len(parts) == 1 else _("the side of a square of the same area")
        draft.take("resolution", {"data.resolution": side}, note)
    if "bucket_no_upscale" in given or "bucket_no_upscale" in given.implied:
        draft.take("bucket_no_upscale", {"data.upscale": not given.on("bucket_no_upscale")})


def _captions(draft: Draft) -> None:
    given = draft.given
    for key in ("caption_extension", "caption_extention"):
        if key in given or key in given.implied:
            ending = str(given.get(key)).strip()
            draft.take(key, {"captions.extensions": [ending if ending.startswith(".") else f".{ending}"]})
    if "caption_separator" in given:
        if str(given.get("caption_separator")).strip() == ",":
            draft.tell("caption_separator", Fate.TAKEN, {})
        else:
            draft.unknown("caption_separator", _("tags are always separated by commas"))
    if "enable_wildcard" in given:
        on = given.on("enable_wildcard")
        draft.take("enable_wildcard", {"captions.wildcards": on, "captions.lines": "random" if on else "first"})
    warm = float_of(given.get("token_warmup_step"))
    if "token_warmup_step" in given:
        total = float_of(given.get("max_train_steps"))
        if 0 < warm < 1 and total > 0:
            draft.take("token_warmup_step", {"captions.tag_warmup": round(warm * total)})
        elif 0 < warm < 1:
            draft.unknown("token_warmup_step", _("a share of the run: captions.tag_warmup takes steps"))
        else:
            draft.take("token_warmup_step", {"captions.tag_warmup": max(warm, 0)})
    _tokens(draft)


def _tokens(draft: Draft) -> None:
    given = draft.given
    if draft.config.model.family not in UNETS:
        draft.idle("max_token_length", _("the family has no such thing"))
        return
    tokens = given.get("max_token_length")
    if float_of(tokens) > 0:
        limit = min((size for size in (75, 150, 225) if size >= float_of(tokens)), default=225)
        draft.take("max_token_length", {"captions.max_tokens": limit})


def _changes(draft: Draft) -> None:
    """Colours, faces and masks."""
    given = draft.given
    if "color_aug" in given:
        on = given.on("color_aug")
        settings = {"data.hue": 16 if on else 0, "data.gamma": 0.05 if on else 0}
        draft.take("color_aug", settings)
    if "face_crop_aug_range" in given:
        low, _comma, high = str(given.get("face_crop_aug_range")).strip("[]() ").partition(",")
        sides = {"data.closeup_from": low, "data.closeup_to": high}
        draft.take("face_crop_aug_range", sides, _("close-ups need data.closeups and data.face_detector besides"))
    if given.on("masked_loss") and "masked_loss" in given:
        draft.take("masked_loss", {"masks.source": "file", "masks.normalise": False})
    if given.on("alpha_mask") and "alpha_mask" in given:
        draft.take("alpha_mask", {"masks.source": "alpha", "masks.normalise": False})
    for key in ("masked_loss", "alpha_mask"):
        if key in given and not draft.known(key):
            draft.tell(key, Fate.TAKEN, {})
