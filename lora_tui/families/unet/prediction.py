"""What a base model predicts, noise or velocity, and whether its noise reaches an SNR of zero, as its files tell.

A folder says it in its scheduler's configuration; a single file by empty tensors (``v_pred``, ``ztsnr``, which ComfyUI
and its trainers write) or by ModelSpec's metadata; most say nothing. Knows no torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lora_tui.errors import UserError
from lora_tui.families.unet.facts import UnetFacts
from lora_tui.text import _, plain

EPSILON, VELOCITY = "epsilon", "v_prediction"
VELOCITY_MARK, ZERO_MARK = "v_pred", "ztsnr"
EDM_MARK = "edm_"
"""Playground v2.5 and models with sigmas of their own say so (``edm_mean``, ``edm_vpred.sigma_max``)."""
#: Beginnings of the class names of schedulers that predict neither, and what that is called.
OTHER_SCHEDULES = {"FlowMatch": "flow", "EDM": "EDM"}
#: modelspec.prediction_type -> what we call it
SPOKEN = {"epsilon": EPSILON, "v": VELOCITY, "v_prediction": VELOCITY, "v-prediction": VELOCITY}


@dataclass(frozen=True)
class Told:
    """What a model's files tell.

    Attributes:
        prediction: ``epsilon``, ``v_prediction``, another word, or empty where nothing is said.
        zero_snr: whether the last of its noise levels is noise alone.
    """

    prediction: str = ""
    zero_snr: bool = False


def told_by_file(names: Collection[str], metadata: Mapping[str, str]) -> Told:
    """What a single file with tensors of these ``names`` tells."""
    zero = ZERO_MARK in names
    if any(name.startswith(EDM_MARK) for name in names):
        return Told("EDM", zero)
    if VELOCITY_MARK in names:
        return Told(VELOCITY, zero)
    spoken = metadata.get("modelspec.prediction_type", "")
    if not spoken and metadata.get("modelspec.architecture", "").endswith("-768-v"):
        spoken = "v"
    return Told(SPOKEN.get(spoken.lower(), spoken), zero)


def told_by_schedule(config: Mapping[str, Any]) -> Told:
    """What a scheduler's configuration tells; without a word of it, it is noise."""
    kind = str(config.get("_class_name", ""))
    other = next((word for start, word in OTHER_SCHEDULES.items() if kind.startswith(start)), "")
    prediction = other or str(config.get("prediction_type", EPSILON))
    return Told(prediction, bool(config.get("rescale_betas_zero_snr")))


def decided(told: Told, setting: str, facts: UnetFacts, place: str) -> str:
    """What the model predicts: as its files tell, or as ``model.prediction`` does (``setting``, not ``auto``).

    Raises:
        UserError: it is something that is not trained here, or nobody tells and it cannot be known.
    """
    if told.prediction not in (EPSILON, VELOCITY, ""):
        raise UserError(
            _("it predicts neither noise nor velocity ({found}), and only models that do are trained here.").format(
                found=plain(told.prediction, limit=80)
            ),
            place=place,
            remedy=_("Choose a base model that predicts noise (epsilon) or velocity (v)."),
            code="model.prediction",
        )
    if setting != "auto":
        return setting
    if not told.prediction and not facts.tells_prediction:
        raise UserError(
            _("the file does not say whether it predicts noise or velocity."),
            place=place,
            remedy=_("Set model.prediction: v_prediction for models of 768 px, epsilon for those of 512 px (base)."),
            code="model.prediction_unknown",
        )
    return told.prediction or EPSILON
