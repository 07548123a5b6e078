"""Noise levels, noise and the weights of the loss."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.config.findings import Finding, error, warning
from lora_tui.config.schema import Config
from lora_tui.text import _

HIGH_NOISE_OFFSET = 0.15


def levels(config: Config) -> Iterator[Finding]:
    """Timesteps that are left."""
    section = config.noise
    if section.min_timestep >= section.max_timestep:
        yield error(
            "noise.min_timestep",
            _("The lowest timestep {low} is not below the highest, {high}: no noise level is left.").format(
                low=section.min_timestep, high=section.max_timestep
            ),
            _("Set noise.min_timestep below noise.max_timestep; 0 and 1000 train all."),
            "noise.empty_range",
        )


def mixed(config: Config) -> Iterator[Finding]:
    """Offset and pyramid."""
    section = config.noise
    if section.noise_offset > 0 and section.pyramid_levels > 0:
        yield error(
            "noise.pyramid_levels",
            _("Noise offset and pyramid noise both change the noise as a whole and are not used together."),
            _("Set noise.noise_offset or noise.pyramid_levels to 0."),
            "noise.two_kinds",
        )
    if section.noise_offset > HIGH_NOISE_OFFSET:
        yield warning(
            "noise.noise_offset",
            _("A noise offset of {value} washes contrast out.").format(value=f"{section.noise_offset:g}"),
            _("Use at most 0.1."),
            "noise.high_offset",
        )


def weights(config: Config) -> Iterator[Finding]:
    """Weights by noise level, of which one is enough."""
    section = config.noise
    if 0 < section.min_snr_gamma < 1:
        yield warning(
            "noise.min_snr_gamma",
            _("A gamma below 1 leaves hardly any weight to fine detail."),
            _("Use 5, or 0 to turn it off."),
            "noise.low_gamma",
        )
    used = {
        "noise.min_snr_gamma": section.min_snr_gamma > 0,
        "noise.debiased": section.debiased,
        "noise.p2_gamma": section.p2_gamma > 0,
    }
    several = [key for key, on in used.items() if on]
    if len(several) > 1:
        yield warning(
            several[-1],
            _("{first} and {second} both weigh timesteps; their weights are multiplied.").format(
                first=several[0], second=several[-1]
            ),
            _("Use one of them."),
            "noise.two_weights",
        )


RULES = (levels, mixed, weights)
