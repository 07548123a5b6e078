"""What a base model must be to be trained here, from configuration files and headers alone. Knows no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.families.sd15.facts import FACTS
from lora_tui.families.sd15.shape import UNET_PREFIX
from lora_tui.families.source import Source
from lora_tui.text import _, plain
from lora_tui.weights.header import ModelKind, identify_model, read_header

TIMESTEPS = 1000
BETA_SCHEDULES = ("scaled_linear", "linear")
#: Names that ComfyUI and its trainers give to empty tensors in files of models that predict velocity.
VELOCITY_MARKS = ("v_pred", "ztsnr")


def check_source(source: Source) -> None:
    """Refuse what :class:`~lora_tui.families.sd15.model.Sd15Model` would train wrongly.

    A pickle is looked at with :func:`check_shapes` when its tensors are read.

    Raises:
        UserError: another family, a part of a model, an inpainting model, one that predicts no noise.
    """
    if source.kind == "pickle":
        return
    _check_kind(identify_model(source.path), source.path)
    if source.kind == "folder":
        _check_folder(source.path)
        return
    header = read_header(source.path)
    check_shapes({name: info.shape for name, info in header.tensors.items()}, source.path)
    if header.metadata.get("modelspec.prediction_type", "epsilon") not in ("epsilon", ""):
        raise _prediction(header.metadata["modelspec.prediction_type"], source.path)


def check_shapes(shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Refuse a checkpoint in the original layout by the names and shapes of its tensors.

    Raises:
        UserError: it takes other channels than latents, or predicts velocity.
    """
    mark = next((name for name in VELOCITY_MARKS if name in shapes), "")
    if mark:
        raise _prediction(mark, path)
    taken, given = (shapes.get(f"{UNET_PREFIX}{name}.weight") for name in ("input_blocks.0.0", "out.2"))
    _check_channels(taken[1] if taken and len(taken) == 4 else None, given[0] if given else None, path)


def check_schedule(config: Mapping[str, Any], path: Path) -> None:
    """Refuse a scheduler configuration that training does not follow.

    Raises:
        UserError: the model predicts no noise (``model.prediction``) or its table of noise is another
            (``model.schedule``).
    """
    prediction = str(config.get("prediction_type", "epsilon"))
    if prediction != "epsilon" or str(config.get("_class_name", "")).startswith("FlowMatch"):
        raise _prediction(prediction if prediction != "epsilon" else "flow", path)
    schedule = str(config.get("beta_schedule", BETA_SCHEDULES[0]))
    count = config.get("num_train_timesteps", TIMESTEPS)
    if schedule not in BETA_SCHEDULES:
        odd = f"beta_schedule = {schedule}"
    elif config.get("rescale_betas_zero_snr"):
        odd = "rescale_betas_zero_snr = true"
    elif config.get("trained_betas") is not None:
        odd = "trained_betas"
    elif count != TIMESTEPS:
        odd = f"num_train_timesteps = {count}"
    else:
        return
    raise UserError(
        _("its noise schedule is one that is not trained here: {setting}.").format(setting=plain(odd, limit=80)),
        place=str(path),
        remedy=_("Choose a base model with the noise schedule of Stable Diffusion 1.5."),
        code="model.schedule",
    )


def read_json(path: Path) -> dict[str, Any]:
    """A configuration file of a model folder.

    Raises:
        UserError: it is missing or no JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    raise UserError(
        _("it is no readable JSON object."),
        place=str(path),
        remedy=_("The model folder is damaged; fetch it again."),
        code="model.folder",
    )


def _check_kind(kind: ModelKind, path: Path) -> None:
    if kind.family != "sd15" or kind.kind not in ("checkpoint", "diffusers"):
        raise UserError(
            _("it is no Stable Diffusion 1.5 checkpoint but {found}.").format(found=kind.detail or kind.kind),
            place=str(path),
            remedy=_("Choose a base model of the family that model.family names."),
            code="model.family",
        )
    if kind.detail:
        raise _special(kind.detail, path)


def _check_folder(folder: Path) -> None:
    unet = read_json(folder / "unet" / "config.json")
    _check_channels(unet.get("in_channels", 4), unet.get("out_channels", 4), folder)
    path = folder / "scheduler" / "scheduler_config.json"
    if path.exists():
        check_schedule(read_json(path), path)


def _check_channels(taken: int | None, given: int | None, path: Path) -> None:
    latent = FACTS.latent_channels
    for channels in (taken, given):
        if channels is not None and channels != latent:
            what = _("a model with {channels} channels where {latent} are usual")
            raise _special(what.format(channels=channels, latent=latent), path)


def _special(what: str, path: Path) -> UserError:
    return UserError(
        _("it is {what}, which is not trained here.").format(what=what),
        place=str(path),
        remedy=_("Choose the plain {family} checkpoint.").format(family=FACTS.title),
        code="model.special",
    )


def _prediction(found: str, path: Path) -> UserError:
    return UserError(
        _("it does not predict noise ({found}), and only models that do are trained here.").format(
            found=plain(found, limit=80)
        ),
        place=str(path),
        remedy=_("Choose a base model that predicts noise (epsilon)."),
        code="model.prediction",
    )
