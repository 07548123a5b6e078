"""A run told to Weights & Biases through its own library, an optional extra."""

from __future__ import annotations

from typing import Any

from lora_tui.errors import UserError
from lora_tui.records.rows import flat
from lora_tui.runs.folder import RunFolder
from lora_tui.text.translate import _
from lora_tui.toml_files import TomlError, read_toml
from lora_tui.trackers.feed import Image, Numbers, Told
from lora_tui.trackers.keys import find_key

KEY = "WANDB_API_KEY"
PLACES = frozenset({"model.base", "model.vae", "network.start_from"})
"""Settings that tell of the machine's folders; they stay here."""


class WandbRun:
    """Takes what a feed tells. A resumed run goes on where it was, under the same id."""

    def __init__(self, run: RunFolder, project: str) -> None:
        """Log in and begin.

        Raises:
            UserError: ``tracking.wandb``: the library or the key is missing.
            Exception: whatever the library raises; the network may be gone.
        """
        try:
            import wandb
        except ImportError as error:
            raise UserError(
                _("wandb is not installed, so nothing is told to it."),
                remedy=_("Install it: pip install 'lora-tui[trackers]'"),
                code="tracking.wandb",
            ) from error
        key = find_key(KEY, "wandb")
        if not key and not _offline():
            raise UserError(
                _("No key for Weights & Biases is known, so nothing is told to it."),
                remedy=_("Set WANDB_API_KEY, or keep it in the keyring: keyring set lora-tui wandb"),
                code="tracking.wandb",
            )
        if key:
            wandb.login(key=key, relogin=True, verify=False)
        self._wandb: Any = wandb
        self._run: Any = wandb.init(
            project=project or "lora-tui",
            name=run.name,
            id=_id_of(run),
            resume="allow",
            dir=str(run.root),
            config=_config(run),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def take(self, told: Told) -> None:
        """Tell one thing."""
        if isinstance(told, Numbers):
            self._run.log({**told.values, "step": told.step})
        elif isinstance(told, Image) and told.path.is_file():
            self._run.log({told.name: self._wandb.Image(str(told.path), caption=told.text), "step": told.step})

    def flush(self) -> None:
        """The library sends by itself."""

    def close(self) -> None:
        """Send the rest and end."""
        self._run.finish()


def _offline() -> bool:
    import os

    return os.environ.get("WANDB_MODE", "") in ("offline", "disabled", "dryrun")


def _id_of(run: RunFolder) -> str:
    """An id that stays the same over resumes and differs between machines' folders of one name."""
    import hashlib

    return hashlib.blake2b(str(run.root).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _config(run: RunFolder) -> dict[str, Any]:
    try:
        settings = flat(read_toml(run.config_path))
    except (OSError, UnicodeDecodeError, TomlError):
        return {}
    return {key: value for key, value in settings.items() if key not in PLACES and not key.startswith("tracking.")}
