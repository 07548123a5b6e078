"""Noise and loss: what the image is mixed with, at which levels, and how an error counts."""

from __future__ import annotations

from typing import Literal

from lora_tui.config.option import Rule, option
from lora_tui.config.schema.groups import FLOW, UNETS
from lora_tui.config.schema.section import Section
from lora_tui.text.translate import N_

_HUBER = Rule(lambda c: c.noise.loss in ("huber", "smooth_l1"), N_("loss is Huber or smooth L1"))
_OFFSET = Rule(lambda c: c.noise.noise_offset > 0, N_("there is a noise offset"))
_PYRAMID = Rule(lambda c: c.noise.pyramid_levels > 0, N_("there is pyramid noise"))
_PERTURBED = Rule(lambda c: c.noise.ip_noise_gamma > 0, N_("there is input perturbation"))
_VELOCITY = Rule(lambda c: c.model.prediction != "epsilon", N_("the base model predicts velocity"))


class NoiseSection(Section):
    """Noise, loss"""

    loss: Literal["l2", "l1", "huber", "smooth_l1", "log_cosh"] = option(
        "l2",
        N_("loss function"),
        N_(
            "How an error counts. L2 is usual. L1, Huber, smooth L1 and log-cosh let large errors count for less, so "
            "that a few odd images spoil less."
        ),
        labels=(("l2", "L2"), ("l1", "L1"), ("huber", "Huber"), ("smooth_l1", "smooth L1"), ("log_cosh", "log-cosh")),
        expert=True,
        peers=("loss_type",),
    )
    huber_schedule: Literal["snr", "exponential", "constant"] = option(
        "snr",
        N_("Huber schedule"),
        N_(
            "Where between L2 and L1 a noise level stands. snr and exponential are near L2 where there is little noise "
            "and near L1 where there is much; constant is the same everywhere."
        ),
        expert=True,
        when=_HUBER,
        peers=("huber_schedule",),
    )
    huber_c: float = option(
        0.1,
        N_("Huber threshold"),
        N_("Errors above it count as in L1; in the schedules, at the noisiest level."),
        gt=0,
        le=1,
        expert=True,
        when=_HUBER,
        peers=("huber_c",),
    )
    huber_scale: float = option(
        1.0,
        N_("Huber scale"),
        N_("Multiplies the threshold of the constant and the exponential schedule."),
        gt=0,
        le=100,
        expert=True,
        when=Rule(
            lambda c: c.noise.loss in ("huber", "smooth_l1") and c.noise.huber_schedule != "snr",
            N_("loss is Huber or smooth L1, and its schedule constant or exponential"),
        ),
        peers=("huber_scale",),
    )
    min_snr_gamma: float = option(
        0.0,
        N_("min-SNR gamma"),
        N_("Weighs easy timesteps down so that learning is steadier; 5 is usual, 0 is off."),
        ge=0,
        le=100,
        families=UNETS,
        peers=("min_snr_gamma", "snr_gamma"),
    )
    debiased: bool = option(
        False,
        N_("debiased estimation"),
        N_("Weighs noisy timesteps up, by the noise that is in them. An alternative to min-SNR."),
        expert=True,
        families=UNETS,
        peers=("debiased_estimation_loss",),
    )
    p2_gamma: float = option(
        0.0,
        N_("P2 gamma"),
        N_("Weighs timesteps down that only clean up the last noise; 1 is usual, 0 is off."),
        ge=0,
        le=10,
        expert=True,
        families=UNETS,
        peers=("p2_gamma", "p2"),
    )
    scale_v_pred: bool = option(
        False,
        N_("scale velocity like noise"),
        N_("Gives the loss on velocity the size that the loss on noise has at each timestep."),
        expert=True,
        families=UNETS,
        when=_VELOCITY,
        peers=("scale_v_pred_loss_like_noise_pred",),
    )
    v_pred_like: float = option(
        0.0,
        N_("share of velocity-like loss"),
        N_("Adds so much of the loss as it would be on velocity to the loss on noise; 0 is off."),
        ge=0,
        le=10,
        expert=True,
        families=UNETS,
        when=Rule(lambda c: c.model.prediction != "v_prediction", N_("the base model predicts noise")),
        peers=("v_pred_like_loss",),
    )
    zero_terminal_snr: Literal["auto", "on", "off"] = option(
        "auto",
        N_("zero-terminal SNR"),
        N_(
            "Let the last timestep be noise alone, so that very dark and very bright images can be learned. auto does "
            "what the base model was trained with; it needs a model that predicts velocity."
        ),
        labels=(("auto", N_("as the base model")), ("on", N_("on")), ("off", N_("off"))),
        expert=True,
        families=UNETS,
        when=_VELOCITY,
        peers=("zero_terminal_snr", "rescale_betas_zero_snr", "ztsnr"),
    )
    snr_before_zero: bool = option(
        False,
        N_("weights from the usual SNR"),
        N_("With zero-terminal SNR, weigh timesteps by the SNR that they had without it, as sd-scripts does."),
        expert=True,
        families=UNETS,
        when=Rule(
            lambda c: c.model.prediction != "epsilon" and c.noise.zero_terminal_snr != "off",
            N_("the base model predicts velocity and zero-terminal SNR is not off"),
        ),
    )
    timesteps: Literal["uniform", "sigmoid", "content", "style"] = option(
        "uniform",
        N_("timesteps"),
        N_(
            "How timesteps are drawn. uniform has all alike, as the base model learned; sigmoid favours the middle, "
            "content those of much noise, where composition is decided, style those of little, where texture is."
        ),
        expert=True,
        families=UNETS,
        peers=("content_or_style", "timestep_distribution"),
    )
    flow_sampling: Literal["sigmoid", "uniform", "logit_normal", "mode"] = option(
        "sigmoid",
        N_("noise levels"),
        N_(
            "How the levels of noise are drawn. sigmoid and logit_normal favour the middle, mode bends an even spread "
            "towards the middle or the ends, uniform has all alike. The shift comes after it."
        ),
        families=FLOW,
        peers=("timestep_sampling", "weighting_scheme"),
    )
    flow_scale: float = option(
        1.0,
        N_("scale of the levels"),
        N_("Of sigmoid: above 1 wider, below 1 narrower around the middle. Of mode: how far it bends; 1.29 is usual."),
        gt=0,
        le=10,
        expert=True,
        families=FLOW,
        when=Rule(lambda c: c.noise.flow_sampling in ("sigmoid", "mode"), N_("noise levels are sigmoid or mode")),
        peers=("sigmoid_scale", "mode_scale"),
    )
    flow_mean: float = option(
        0.0,
        N_("mean of the levels"),
        N_("Above 0 more noise, below 0 less."),
        ge=-10,
        le=10,
        expert=True,
        families=FLOW,
        when=Rule(lambda c: c.noise.flow_sampling == "logit_normal", N_("noise levels are logit_normal")),
        peers=("logit_mean",),
    )
    flow_deviation: float = option(
        1.0,
        N_("spread of the levels"),
        N_("How far from their mean the levels lie."),
        gt=0,
        le=10,
        expert=True,
        families=FLOW,
        when=Rule(lambda c: c.noise.flow_sampling == "logit_normal", N_("noise levels are logit_normal")),
        peers=("logit_std",),
    )
    flow_shift: float = option(
        0.0,
        N_("shift of the levels"),
        N_(
            "Moves the levels towards noise; 3.1582 and 3 are usual, 1 moves nothing. 0 takes it from the image's size."
        ),
        ge=0,
        le=100,
        families=FLOW,
        peers=("discrete_flow_shift", "flux_shift", "shift"),
    )
    flow_weighting: Literal["none", "bell", "cosmap", "sigma_sqrt"] = option(
        "none",
        N_("weights of the levels"),
        N_(
            "How much the loss counts at each noise level. bell favours the middle, cosmap, too, more softly, "
            "sigma_sqrt fine detail by far. none counts all alike, which suits levels that are drawn unevenly."
        ),
        expert=True,
        families=FLOW,
        peers=("weighting_scheme", "timestep_type"),
    )
    noise_offset: float = option(
        0.0,
        N_("noise offset"),
        N_("Helps very dark and very bright images; up to 0.1, 0 is off."),
        ge=0,
        le=1,
        expert=True,
        peers=("noise_offset",),
    )
    offset_random: bool = option(
        False,
        N_("random offset"),
        N_("Draw the strength of the noise offset anew for each image, from 0 up to the one that is set."),
        expert=True,
        when=_OFFSET,
        peers=("noise_offset_random_strength",),
    )
    offset_adaptive: float = option(
        0.0,
        N_("adaptive offset"),
        N_("Adds this much of the image's own mean to the offset, by channel; below 0 takes it away."),
        ge=-1,
        le=1,
        expert=True,
        when=_OFFSET,
        peers=("adaptive_noise_scale",),
    )
    pyramid_levels: int = option(
        0,
        N_("pyramid noise"),
        N_("Levels of coarser noise that are added (multires noise): 6 to 10 are usual, 0 is off."),
        ge=0,
        le=20,
        expert=True,
        peers=("multires_noise_iterations",),
    )
    pyramid_discount: float = option(
        0.3,
        N_("pyramid discount"),
        N_("Each coarser level is so much weaker than the one before; 0.3 on few images, up to 0.8 on many."),
        gt=0,
        le=1,
        expert=True,
        when=_PYRAMID,
        peers=("multires_noise_discount",),
    )
    ip_noise_gamma: float = option(
        0.0,
        N_("input perturbation"),
        N_(
            "Mixes so much more noise into what the model sees, but not into what it is to find, so that it is less "
            "sure of its own; 0.1 is usual, 0 is off."
        ),
        ge=0,
        le=1,
        expert=True,
        peers=("ip_noise_gamma", "input_perturbation"),
    )
    ip_noise_random: bool = option(
        False,
        N_("random perturbation"),
        N_("Draw the strength of the perturbation anew for each image, from 0 up to the one that is set."),
        expert=True,
        when=_PERTURBED,
        peers=("ip_noise_gamma_random_strength",),
    )
    min_timestep: int = option(
        0,
        N_("lowest timestep"),
        N_("Noise levels below this are not trained. Low timesteps are fine detail."),
        ge=0,
        le=999,
        expert=True,
        peers=("min_timestep",),
    )
    max_timestep: int = option(
        1000,
        N_("highest timestep"),
        N_("Noise levels from this on are not trained. High timesteps are composition."),
        ge=1,
        le=1000,
        expert=True,
        peers=("max_timestep",),
    )
