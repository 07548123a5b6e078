"""Length, saving, samples, validation, memory and trackers of sd-scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lora_tui.config.family import usual_sample
from lora_tui.config.prompt_lines import SAMPLERS, is_told, values_of
from lora_tui.config.schema import FLOW
from lora_tui.errors import UserError
from lora_tui.exchange.draft import Draft
from lora_tui.exchange.fate import Fate
from lora_tui.exchange.places import Places
from lora_tui.exchange.reading import read_bytes, read_json, read_toml_text, text_of
from lora_tui.exchange.sd_network import float_of
from lora_tui.places import is_file
from lora_tui.text import _

PRECISIONS = {"no": "fp32", "fp16": "fp16", "bf16": "bf16", "float": "fp32", "fp32": "fp32", "float16": "fp16"}
PRECISIONS |= {"bfloat16": "bf16", "float32": "fp32"}
MOST_PROMPTS = 1000


def take(draft: Draft, places: Places) -> None:
    """Read everything about how a run goes."""
    _length(draft)
    _saving(draft)
    _samples(draft, places)
    _validation(draft)
    _memory(draft)
    _trackers(draft)
    if "metadata_description" in draft.given:
        if "training_comment" in draft.given:
            draft.idle("metadata_description", _("training_comment is taken as the comment"))
        else:
            draft.take("metadata_description", {"saving.comment": draft.given.get("metadata_description")})


def _length(draft: Draft) -> None:
    given = draft.given
    epochs, steps = given.get("max_train_epochs"), given.get("max_train_steps")
    if "max_train_epochs" in given and float_of(epochs) > 0:
        draft.take("max_train_epochs", {"steps.epochs": epochs})
        draft.put("steps.max_steps", 0)
        draft.idle("max_train_steps", _("max_train_epochs says how long the run is"))
    elif steps is not None and float_of(steps) > 0:
        draft.take("max_train_steps", {"steps.max_steps": steps})
    draft.idle([key for key in ("max_train_epochs", "max_train_steps") if not draft.known(key)], _("0 leaves it out"))
    stop = given.get("stop_text_encoder_training")
    if "stop_text_encoder_training" in given:
        if float_of(stop) > 0:
            draft.take("stop_text_encoder_training", {"learning.text_encoder_steps": stop})
        elif float_of(stop) == 0:
            draft.take("stop_text_encoder_training", {"learning.text_encoder_steps": 0})
        else:
            settings = {"network.text_encoder": False}
            draft.take("stop_text_encoder_training", settings, _("below 0 it is never trained"))


def _saving(draft: Draft) -> None:
    given = draft.given
    for key in ("mixed_precision", "save_precision"):
        if (told := given.get(key)) is None:
            continue
        setting = "memory.precision" if key == "mixed_precision" else "saving.precision"
        if str(told) in PRECISIONS:
            draft.take(key, {setting: PRECISIONS[str(told)]})
        else:
            draft.take(key, {setting: told})
    epochs, steps = draft.config.saving.every_epochs, draft.config.saving.every_steps
    _kept(draft, "save_last_n_epochs", "saving.keep_last", epochs)
    _kept(draft, "save_last_n_steps", "saving.keep_last", steps)
    if "save_state" in given or "save_state" in given.implied:
        on = given.on("save_state")
        settings = {"saving.state_every_epochs": epochs if on else 0, "saving.state_every_steps": steps if on else 0}
        draft.take("save_state", settings)
        _kept(draft, "save_last_n_epochs_state", "saving.keep_states", epochs)
        _kept(draft, "save_last_n_steps_state", "saving.keep_states", steps)


def _kept(draft: Draft, key: str, setting: str, every: int) -> None:
    """How many files are kept: there so many epochs or steps back, here a number of files."""
    number = float_of(draft.given.get(key))
    if key not in draft.given:
        return
    if number <= 0 or every <= 0:
        draft.idle(key, _("0 leaves it out") if number <= 0 else _("nothing is saved at such an interval"))
    else:
        most = 100 if setting == "saving.keep_states" else 10_000_000
        draft.take(key, {setting: min(max(int(number // every), 1), most)})


def _samples(draft: Draft, places: Places) -> None:
    given = draft.given
    sampler = str(given.get("sample_sampler", "")).lower()
    if "sample_sampler" in given:
        if sampler in SAMPLERS and draft.config.model.family not in FLOW:
            draft.tell("sample_sampler", Fate.TRANSLATED, {"samples.sampler": SAMPLERS[sampler]})
        elif draft.config.model.family in FLOW:
            draft.idle("sample_sampler", _("models of flow matching are drawn by Euler"))
        else:
            usual = usual_sample(draft.config)["sampler"]
            draft.tell("sample_sampler", Fate.TRANSLATED, {"samples.sampler": usual}, _("it has no such method"))
    told = given.get("sample_prompts")
    if "sample_prompts" not in given:
        return
    lines, note = _prompt_lines(told, places)
    own = {"sampler": SAMPLERS[sampler]} if sampler in SAMPLERS and draft.config.model.family not in FLOW else {}
    wrong = 0
    for line in lines[:MOST_PROMPTS]:
        if (values := _values(line, told=is_told(draft.config))) is None:
            wrong += 1
            continue
        draft.entry("samples", "", {**usual_sample(draft.config), **own, **values})
    settings = {"samples": len(draft.config.samples)}
    if note or wrong or not lines:
        note = note or _("{count} prompts cannot be read").format(count=wrong or 1)
        draft.tell("sample_prompts", Fate.UNKNOWN, settings, note)
    else:
        draft.tell("sample_prompts", Fate.TRANSLATED, settings)


def _prompt_lines(told: Any, places: Places) -> tuple[list[Any], str]:
    """The prompts: lines, or tables; and why there are none."""
    if isinstance(told, list):
        return told, ""
    text = str(told).strip()
    if not text.lower().endswith((".txt", ".toml", ".json")) or "\n" in text:
        return [line for line in text.splitlines() if line.strip() and not line.startswith("#")], ""
    place, note = places.find(text)
    path = Path(place)
    if not is_file(path):
        return [], note or _("nothing is there on this machine")
    try:
        content = text_of(path, read_bytes(path))
        if path.suffix.lower() == ".txt":
            return [one for one in content.splitlines() if one.strip() and not one.lstrip().startswith("#")], ""
        if path.suffix.lower() == ".toml":
            data = read_toml_text(path, content).get("prompt", {})
            general = {key: value for key, value in data.items() if key != "subset"}
            return [{**general, **one} for one in data.get("subset", []) if isinstance(one, dict)], ""
        data = read_json(path, f'{{"all": {content}}}')["all"]
        return list(data) if isinstance(data, list) else [], ""
    except (UserError, AttributeError) as error:
        return [], str(error)


_TABLE = {
    "prompt": "prompt", "negative_prompt": "negative", "width": "width", "height": "height", "seed": "seed",
    "sample_steps": "steps", "scale": "guidance", "guidance_scale": "guidance", "sample_sampler": "sampler",
}  # fmt: skip


def _values(line: Any, *, told: bool) -> dict[str, Any] | None:
    """What a prompt says of a sample; none where it cannot be read."""
    if isinstance(line, dict):
        values = {_TABLE[key]: value for key, value in line.items() if key in _TABLE}
        if "sampler" in values:
            values["sampler"] = SAMPLERS.get(str(values["sampler"]).lower(), "euler_a")
        return values if values.get("prompt") else None
    text = str(line).strip()
    for shape in (text, text.replace(" --g ", " --l ") if not told else text.replace(" --l ", " --g ")):
        try:
            return values_of(shape, told=told)
        except UserError:
            continue
    return None


def _validation(draft: Draft) -> None:
    given = draft.given
    share = float_of(given.get("validation_split"))
    if "validation_split" in given or "validation_split" in given.implied:
        settings: dict[str, Any] = {"validation.mode": "on" if share > 0 else "off"}
        if share > 0:
            settings["validation.share"] = share
        draft.take("validation_split", settings)


def _memory(draft: Draft) -> None:
    given = draft.given
    for key in ("fp8_base", "fp8_base_unet"):
        if key in given:
            draft.take(key, {"memory.base_weights": "fp8" if given.on(key) or given.on("fp8_base") else "full"})
    swapped = float_of(given.get("blocks_to_swap"))
    if "blocks_to_swap" in given:
        if swapped > 0 and draft.config.model.family in ("flux", "chroma"):
            draft.take("blocks_to_swap", {"memory.streamed_blocks": streamed(int(swapped))})
        else:
            draft.take("blocks_to_swap", {"memory.streamed_blocks": max(swapped, 0)})
    if given.on("split_mode"):
        draft.take("split_mode", {"memory.streamed_blocks": streamed(18)})
    elif "split_mode" in given:
        draft.idle("split_mode", _("0 leaves it out"))
    count = given.get("num_processes", 2 if given.on("multi_gpu") else 1)
    ids = [one for one in str(given.get("gpu_ids", "")).strip("[]() ").replace("'", "").split(",") if one.strip()]
    for key, settings in {
        "num_processes": {"memory.processes": count},
        "multi_gpu": {"memory.processes": count if given.on("multi_gpu") else 1},
        "gpu_ids": {"memory.processes": len(ids)}
        if len(ids) > 1
        else {"memory.device": f"cuda:{(ids or ['0'])[0].strip()}"},
    }.items():
        if key in given:
            draft.take(key, settings)


def streamed(swapped: int) -> int:
    """The blocks of FLUX.1 that ``blocks_to_swap`` stands for: half as many double ones, and two single ones for each
    of the rest (docs/flux_train_network.md)."""
    return swapped // 2 + (swapped - swapped // 2) * 2


def _trackers(draft: Draft) -> None:
    given = draft.given
    told = str(given.get("log_with", "")).lower()
    if "log_with" in given:
        settings = {"tracking.tensorboard": told in ("tensorboard", "all"), "tracking.wandb": told in ("wandb", "all")}
        if told in ("tensorboard", "wandb", "all"):
            draft.take("log_with", settings)
        else:
            draft.unknown("log_with")
    if "logging_dir" in given:
        on = told != "wandb"
        draft.take("logging_dir", {"tracking.tensorboard": on}, _("the curves go into the run's own folder"))
