"""What a LoRA file says of itself: sd-scripts' ``ss_`` keys and ModelSpec 1.0.1, all strings."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lora_tui import __version__
from lora_tui.caches.contents import sha256_of
from lora_tui.config.loras import read_loras
from lora_tui.config.schema import TWO_TEXTS, Config
from lora_tui.config.text_rates import SECOND, text_rate, text_updates
from lora_tui.dataset.batches import DataPlan
from lora_tui.dataset.origin import in_one_line, origins_of
from lora_tui.families.protocol import Facts
from lora_tui.places import expand
from lora_tui.trainer.dataset_metadata import dataset_metadata
from lora_tui.trainer.optim.schedules import warmup_steps
from lora_tui.weights.lora_file import as_text

#: :attr:`Model.prediction` -> modelspec.prediction_type, which has no word for flow matching
PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}


#: family -> sd-scripts' name of what trains it, where that is another than ``networks.lora``
MODULES = {
    "flux": "networks.lora_flux",
    "flux2": "networks.lora_flux_2",
    "sd3": "networks.lora_sd3",
    "chroma": "networks.lora_flux",
    "zimage": "networks.lora_zimage",
    "qwen": "networks.lora_qwen_image",
}


def _vae_hashes(config: Config) -> dict[str, str]:
    """Of a VAE in a file of its own."""
    path = expand(config.model.vae) if config.model.vae else None
    if path is None or not path.is_file():
        return {}
    hashes = FileHashes.of(path)
    return {"ss_vae_hash": hashes.legacy, "ss_new_vae_hash": hashes.sha256}


def _timesteps(config: Config) -> str:
    """ModelSpec's range of the timesteps that were trained; empty where it is all of them."""
    low, high = config.noise.min_timestep, config.noise.max_timestep
    return f"{low},{high}" if (low, high) != (0, 1000) else ""


@dataclass(frozen=True)
class FileHashes:
    """``sha256`` of a file, and sd-scripts' old hash of 8 digits (sha256 of 64 KiB at offset 1 MiB)."""

    sha256: str
    legacy: str

    @classmethod
    def of(cls, path: Path) -> FileHashes:
        """Read the whole file, unless it is known since the last time.

        Raises:
            OSError: it cannot be read.
        """
        full = sha256_of(path)
        with path.open("rb") as file:
            file.seek(0x100000)
            return cls(full, hashlib.sha256(file.read(0x10000)).hexdigest()[:8])


@dataclass(frozen=True)
class Ingredients:
    """What a file's metadata tells of.

    Attributes:
        prediction: what the model predicts, see :class:`lora_tui.families.protocol.Model`.
        base: hashes of the file with the denoiser.
        network: the adapter's own entries.
        optimizer: its class and arguments as text.
        noise: the entries of noise and loss.
        captions: texts by the images' uid.
        rates: share of the configured learning rates that holds now, for a person may change them while it goes.
    """

    config: Config
    plan: DataPlan
    facts: Facts
    prediction: str
    base: FileHashes
    network: Mapping[str, Any]
    optimizer: str
    noise: Mapping[str, Any]
    captions: Mapping[str, str]
    rates: float = 1.0

    def rate(self, configured: float) -> float:
        """A learning rate as it holds now, without the noise of rounding."""
        return float(f"{configured * self.rates:.12g}")


class RunMetadata:
    """Metadata of one run; only steps and times differ between its files."""

    def __init__(self, ingredients: Ingredients, session: str, started: float) -> None:
        """``session`` is the UUID of this life of the run, ``started`` its beginning in unix seconds."""
        self._made_of = ingredients
        self._started = started
        self._origins = origins_of(planned.image.path.parent for planned in ingredients.plan.train)
        self._vae = _vae_hashes(ingredients.config)
        self._fixed = {**self._run(session), **self._model(), **self._data()}

    def at(self, step: int, epoch: int, *, finished: bool) -> dict[str, str]:
        """The metadata of a file saved after ``step`` updates in ``epoch`` (from 1)."""
        now = time.time()
        values = dict(self._fixed)
        values.update(
            ss_steps=step,
            ss_epoch=epoch,
            ss_training_finished_at=now if finished else None,
        )
        spec = self._modelspec(now)
        return {name: as_text(value) for name, value in {**values, **spec}.items()}

    def _run(self, session: str) -> dict[str, Any]:
        config, plan = self._made_of.config, self._made_of.plan
        learning = config.learning
        return {
            "ss_session_id": session,
            "ss_training_started_at": self._started,
            "ss_output_name": config.saving.name,
            "ss_training_comment": config.saving.comment or None,
            "ss_seed": config.steps.seed,
            "ss_num_epochs": plan.total_epochs,
            "ss_max_train_steps": plan.total_steps,
            "ss_learning_rate": self._made_of.rate(learning.unet_lr),
            "ss_unet_lr": self._made_of.rate(learning.unet_lr),
            "ss_text_encoder_lr": self._text_rates(),
            "ss_stop_text_encoder_training": self._text_stop(),
            "ss_optimizer": self._made_of.optimizer,
            "ss_lr_scheduler": learning.schedule_class if learning.schedule == "other" else learning.schedule,
            "ss_lr_warmup_steps": warmup_steps(learning, plan.total_steps),
            "ss_ema_decay": learning.ema_decay or None,
            "ss_max_grad_norm": config.optimizer.max_grad_norm,
            "ss_gradient_accumulation_steps": math.ceil(config.steps.gradient_accumulation / config.memory.processes),
            "ss_gradient_checkpointing": config.memory.gradient_checkpointing,
            "ss_mixed_precision": {"fp32": "no"}.get(config.memory.precision, config.memory.precision),
            "ss_full_fp16": False,
            "ss_cache_latents": config.memory.cache_latents,
            "ss_lowram": False,
            **self._precision(),
            **self._validation(),
            **self._made_of.noise,
            "ss_prior_loss_weight": config.data.prior_loss_weight,
        }

    def _precision(self) -> dict[str, Any]:
        """Of the base: sd-scripts knows one of 8 bits with a fraction, and has no word for the others."""
        packed = self._made_of.config.memory.base_weights
        return {
            "ss_fp8_base": packed == "fp8",
            "ss_fp8_base_unet": packed == "fp8",
            "ss_base_weights_kept": None if packed == "full" else packed,
        }

    def _validation(self) -> dict[str, Any]:
        config, plan = self._made_of.config, self._made_of.plan
        measured, section = bool(plan.validation), config.validation
        return {
            "ss_validation_seed": config.steps.seed if measured else None,
            "ss_validation_split": section.share if measured else 0.0,
            "ss_validate_every_n_epochs": (section.every_epochs or None) if measured else None,
            "ss_validate_every_n_steps": (section.every_steps or None) if measured else None,
            "ss_max_validation_steps": None,
        }

    def _text_rates(self) -> float | list[float] | None:
        """One rate, or those of both encoders where they differ, as sd-scripts lists them."""
        config, learning = self._made_of.config, self._made_of.config.learning
        if not config.trains_text:
            return None
        first, second = learning.text_encoder_lr, text_rate(learning, SECOND)
        listed = config.model.family in TWO_TEXTS and second != first
        rates = [self._made_of.rate(one) for one in (first, second)]
        return rates if listed else rates[0]

    def _text_stop(self) -> int | None:
        """The last update in which the text encoders learn, where that is not the last of all."""
        config, total = self._made_of.config, self._made_of.plan.total_steps
        updates = text_updates(config.learning, total)
        return updates if config.trains_text and updates < total else None

    def _model(self) -> dict[str, Any]:
        config, facts = self._made_of.config, self._made_of.facts
        base = Path(config.model.base)
        version, _architecture = facts.versions(self._made_of.prediction)
        values: dict[str, Any] = {
            "ss_v2": version.startswith("sd_v2"),
            "ss_base_model_version": version,
            "ss_sd_model_name": base.name,
            "ss_clip_skip": None if facts.text_layer else config.model.clip_skip,
            "ss_max_token_length": None if facts.separate else config.captions.max_tokens,
            **self._t5(),
            **self._flow(),
            "ss_scale_weight_norms": None,
            **self._made_of.network,
        }
        if facts.name in MODULES and values.get("ss_network_module") == "networks.lora":
            values["ss_network_module"] = MODULES[facts.name]
        if expand(base).is_file():
            hashes = self._made_of.base
            values.update(ss_new_sd_model_hash=hashes.sha256, ss_sd_model_hash=hashes.legacy)
        if config.model.loras:
            merged = read_loras(config.model.loras)
            values["ss_base_weights"] = [{"name": Path(lora.place).name, "strength": lora.strength} for lora in merged]
        if config.model.vae:
            values["ss_vae_name"] = Path(config.model.vae).name
            values |= self._vae
        return values

    def _flow(self) -> dict[str, Any]:
        """What sd-scripts says of a transformer that learns velocities as they are."""
        name = self._made_of.facts.name
        told: dict[str, Any] = {"ss_model_prediction_type": "raw"} if self._made_of.prediction == "flow" else {}
        if name == "flux":
            told |= {"ss_model_type": "flux", "ss_guidance_scale": self._made_of.config.model.guidance}
        if name == "chroma":
            told |= {"ss_model_type": "chroma", "ss_guidance_scale": 0.0}
        if name == "sd3":
            told["ss_apply_lg_attn_mask"] = False
        return told

    def _t5(self) -> dict[str, Any]:
        """How T5 reads captions, in sd-scripts' words, for the families that have it."""
        config = self._made_of.config
        if "t5xxl" not in self._made_of.facts.separate:
            return {}
        return {"ss_t5xxl_max_token_length": config.captions.t5_tokens, "ss_apply_t5_attn_mask": config.masks_text}

    def _data(self) -> dict[str, Any]:
        made_of = self._made_of
        return dataset_metadata(made_of.config, made_of.plan, made_of.captions)

    def _modelspec(self, now: float) -> dict[str, Any]:
        config, facts = self._made_of.config, self._made_of.facts
        side = config.data.resolution
        spec = {
            "modelspec.sai_model_spec": "1.0.1",
            "modelspec.architecture": f"{facts.versions(self._made_of.prediction)[1]}/lora",
            "modelspec.implementation": facts.implementation,
            "modelspec.title": config.saving.title or config.saving.name,
            "modelspec.resolution": f"{side}x{side}",
            "modelspec.date": datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "modelspec.prediction_type": PREDICTIONS.get(self._made_of.prediction, ""),
            "modelspec.timestep_range": _timesteps(config),
            "modelspec.merged_from": ", ".join(Path(lora.place).stem for lora in read_loras(config.model.loras)),
            "modelspec.encoder_layer": str(facts.text_layer or config.model.clip_skip),
            "modelspec.author": config.saving.author,
            "modelspec.description": config.saving.comment,
            "modelspec.trigger_phrase": config.saving.trigger,
            "modelspec.license": in_one_line(origin.licence for origin in self._origins),
            # ModelSpec has no word for where images are from, and sd-scripts keeps unknown keys of its own prefix
            "ss_dataset_source": in_one_line(origin.source for origin in self._origins),
            "software": json.dumps({"name": "lora-tui", "version": __version__}),
        }
        return {name: value for name, value in spec.items() if value}
