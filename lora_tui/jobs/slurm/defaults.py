"""What a person's settings say that Slurm is asked for."""

from __future__ import annotations

from lora_tui.jobs.slurm.options import Options, options_from
from lora_tui.settings import load_settings, settings_file
from lora_tui.text.plain import plain


def default_options() -> Options:
    """The options that ``[slurm]`` of the settings has.

    Raises:
        UserError: the settings cannot be read, or one of the options is wrong.
    """
    return options_from(load_settings().slurm, place=f"{plain(str(settings_file()))}: slurm.")
