"""What LoRA files say of noise and loss, in sd-scripts' names."""

from __future__ import annotations

from typing import Any

from lora_tui.config.schema import NoiseSection
from lora_tui.families.protocol import Model
from lora_tui.trainer.objectives.losses import BENT
from lora_tui.trainer.objectives.tables import ZERO_TERMINAL, schedule_for


def noise_metadata(model: Model, section: NoiseSection) -> dict[str, Any]:
    """The ``ss_`` entries of the settings; none for what is not used."""
    bent, velocity = section.loss in BENT, model.prediction == "v_prediction"
    offset, pyramid, extra = section.noise_offset > 0, section.pyramid_levels > 0, section.ip_noise_gamma > 0
    return {
        "ss_loss_type": section.loss,
        "ss_huber_schedule": section.huber_schedule if bent else None,
        "ss_huber_c": section.huber_c if bent else None,
        "ss_huber_scale": section.huber_scale if bent else None,
        "ss_min_snr_gamma": section.min_snr_gamma or None,
        "ss_debiased_estimation": section.debiased,
        "ss_p2_gamma": section.p2_gamma or None,
        "ss_scale_v_pred_loss_like_noise_pred": velocity and section.scale_v_pred,
        "ss_v_pred_like_loss": None if velocity else section.v_pred_like or None,
        "ss_zero_terminal_snr": bool(schedule_for(model, section).get(ZERO_TERMINAL)),
        "ss_noise_offset": section.noise_offset or None,
        "ss_noise_offset_random_strength": offset and section.offset_random,
        "ss_adaptive_noise_scale": (section.offset_adaptive or None) if offset else None,
        "ss_multires_noise_iterations": section.pyramid_levels or None,
        "ss_multires_noise_discount": section.pyramid_discount if pyramid else None,
        "ss_ip_noise_gamma": section.ip_noise_gamma or None,
        "ss_ip_noise_gamma_random_strength": extra and section.ip_noise_random,
        **(_flow(section, section.flow_shift or _constant_shift(model)) if model.prediction == "flow" else {}),
        "ss_timestep_distribution": None if section.timesteps == "uniform" else section.timesteps,
        "ss_min_timestep": section.min_timestep or None,
        "ss_max_timestep": None if section.max_timestep == 1000 else section.max_timestep,
    }


def _constant_shift(model: Model) -> float | None:
    """By how much ``model`` shifts levels of noise itself, whatever the size of an image; none where that decides."""
    small, large = model.shift(256, 256), model.shift(1024, 1024)
    return small if small == large else None


def _flow(section: NoiseSection, shift: float | None) -> dict[str, Any]:
    """In sd-scripts' words, which has the draws of SD3's paper among its weightings; ``shift`` none is FLUX.1's.

    Its ``get_noisy_model_input_and_timesteps`` shifts the draws of ``sigma`` (even ones, too), ``shift`` and
    ``flux_shift``, not those of ``sigmoid`` and ``uniform``.
    """
    scheme, scale = section.flow_sampling, section.flow_scale
    words = {"logit_normal": "sigma", "mode": "sigma"}
    if shift is None:
        words["sigmoid"] = "flux_shift"
    elif shift != 1:
        words |= {"sigmoid": "shift", "uniform": "sigma"}
    return {
        "ss_timestep_sampling": words.get(scheme, scheme),
        "ss_weighting_scheme": scheme if scheme in ("logit_normal", "mode") else section.flow_weighting,
        "ss_flow_weighting": None if section.flow_weighting == "none" else section.flow_weighting,
        "ss_logit_mean": section.flow_mean if scheme == "logit_normal" else None,
        "ss_logit_std": section.flow_deviation if scheme == "logit_normal" else None,
        "ss_mode_scale": scale if scheme == "mode" else None,
        "ss_sigmoid_scale": scale if scheme == "sigmoid" else None,
        "ss_discrete_flow_shift": shift,
    }
