"""The model hub as its own library reaches it: what its cache holds, how a fetch tells of itself, why one failed.

Knows no model; who needs one says which of its files.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lora_tui.text import _, plain

Progress = Callable[[str, int, int, str], None]
"""Told the phase, how much is done, of how much, and what is in hand."""

HUB = "https://huggingface.co"


class StoppedError(Exception):
    """Somebody asked to stop while something was fetched."""


def cache_folder() -> Path:
    """Where the hub's library keeps models, by the variables that it obeys."""
    for variable, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if value := os.environ.get(variable):
            return Path(os.path.expandvars(value)).expanduser() / below
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "huggingface" / "hub"


def snapshot(name: str) -> Path | None:
    """The folder with the newest files of the model ``name`` in the cache, all or some; none without any. No network.

    The cache is read as it lies on disk, so that a model which was fetched once is found without any library.
    """
    folder = cache_folder() / ("models--" + name.replace("/", "--"))
    try:
        revision = (folder / "refs" / "main").read_text("ascii").strip()
        found = folder / "snapshots" / revision
        return found if revision and found.is_dir() else None
    except (OSError, ValueError):
        return None


def is_offline() -> bool:
    """Whether the environment forbids to ask the hub, by the variables that its library obeys."""
    told = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in ("1", "ON", "YES", "TRUE") for value in told)


def endpoint() -> str:
    """The hub, or the mirror that ``HF_ENDPOINT`` names."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB


def watched(
    download: Callable[..., Any],
    on_update: Callable[[int, int], None] | None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Arguments that make the library's ``download`` tell how far it is, in bytes; older ones cannot.

    Raises:
        StoppedError: out of the download, when ``should_stop`` says yes.
    """
    if "tqdm_class" not in inspect.signature(download).parameters:
        return {}
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        """A bar that draws nothing and tells the caller."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"disable": True})
            self.told = int(options.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            if should_stop is not None and should_stop():
                raise StoppedError
            self.told += int(n or 0)
            if on_update is not None:
                on_update(self.told, int(self.total or 0))

    return {"tqdm_class": Bar}


def failure(name: str, error: Exception) -> tuple[str, str]:
    """What kept the model ``name`` from being fetched, and what to do, for what the hub's library raised."""
    from huggingface_hub import errors

    shown, page = plain(name), f"{endpoint()}/{plain(name)}"
    if isinstance(error, errors.GatedRepoError):
        return (
            _("{name} is given only to those who accepted its terms.").format(name=shown),
            _("Accept them at {page}, then set HF_TOKEN to a token of that account, or run: hf auth login").format(
                page=page
            ),
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            _("there is no model {name} at {endpoint}, or it is private.").format(
                name=shown, endpoint=plain(endpoint(), limit=200)
            ),
            _("Check the spelling of owner/model; HF_TOKEN opens private and gated models."),
        )
    if isinstance(error, errors.OfflineModeIsEnabled):
        return (
            _("{name} is not whole in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it.").format(name=shown),
            _("Unset HF_HUB_OFFLINE (and TRANSFORMERS_OFFLINE) for the first time, or give a file or folder."),
        )
    words = str(error).strip().splitlines()
    reason = plain(words[0] if words else type(error).__name__, limit=200)
    return (
        _("{name} could not be fetched from the hub: {reason}.").format(name=shown, reason=reason.rstrip(".")),
        _("Check the name and the connection (HF_ENDPOINT sets a mirror, HF_TOKEN opens gated models).")
        + " "
        + _("What was fetched is kept; the next attempt goes on from there."),
    )
