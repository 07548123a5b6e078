"""Models by their names on the hub: found in its cache, or fetched once. Knows no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.hub import Progress, cache_folder, failure, snapshot, watched
from lora_tui.hub import StoppedError as StoppedError
from lora_tui.text import _, plain

_PART = re.compile(r"(?P<head>.+-)\d{5}-of-(?P<all>\d{5})(?P<ending>\.[a-z]+)")


def is_hub_name(text: str) -> bool:
    """Whether ``text`` can be a name on the hub: ``owner/model``."""
    owner, slash, model = text.partition("/")
    legal = all(part and part.replace("-", "").replace("_", "").replace(".", "").isalnum() for part in (owner, model))
    return bool(slash) and "/" not in model and legal and text.isascii()


def cached(name: str, needed: Sequence[str]) -> Path | None:
    """The folder of a model in the hub's cache that has all files needed; none when it is not there. No network.

    The cache is read as it lies on disk, so that a model which was fetched once is found without any library.
    """
    place = snapshot(name)
    if place is None:
        return None
    try:
        held = [path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()]
    except OSError:
        return None
    whole = all(any(fnmatch(one, want) for one in held) for want in needed) and not _lacks_parts(held)
    return place if whole else None


def _lacks_parts(files: Sequence[str]) -> bool:
    """Whether weights in several files (``model-00001-of-00003``) are there in part only."""
    found: dict[tuple[str, int], int] = {}
    for file in files:
        if part := _PART.fullmatch(file):
            key = part["head"] + part["ending"], int(part["all"])
            found[key] = found.get(key, 0) + 1
    return any(number < wanted for (_name, wanted), number in found.items())


def snapshots() -> list[tuple[str, Path]]:
    """The models in the hub's cache: their names and the folders of their newest files. No network."""
    found = []
    try:
        folders = sorted(cache_folder().glob("models--*--*"))
    except OSError:
        return []
    for folder in folders:
        try:
            revision = (folder / "refs" / "main").read_text("ascii").strip()
        except (OSError, ValueError):
            continue
        if revision and (folder / "snapshots" / revision).is_dir():
            found.append((folder.name.removeprefix("models--").replace("--", "/", 1), folder / "snapshots" / revision))
    return found


def fetched(
    name: str,
    patterns: Sequence[str],
    needed: Sequence[str],
    *,
    on_progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """The folder of a model with the files that match ``patterns``, fetched where they are not in the cache.

    Args:
        needed: patterns that must each match a file.

    Raises:
        UserError: ``tagger.download`` when it cannot be fetched, ``tagger.hub`` when it lacks files that are needed,
            ``missing.tag`` when the library is not installed.
        StoppedError: ``should_stop`` said yes.
    """
    if (found := cached(name, needed)) is not None:
        return found
    try:
        from huggingface_hub import HfApi, constants, hf_hub_download
    except ImportError:
        raise missing_library("huggingface_hub") from None
    try:
        files = [
            one.rfilename for one in HfApi().model_info(name, timeout=constants.HF_HUB_ETAG_TIMEOUT).siblings or ()
        ]
        wanted = [one for one in files if any(fnmatch(one, want) for want in patterns)]
        lacking = [want for want in needed if not any(fnmatch(one, want) for one in wanted)]
        if lacking:
            raise UserError(
                _("{name} on the hub has no {files}.").format(name=plain(name), files=", ".join(lacking)),
                remedy=_("Check the name, or say with --tagger what kind of model it is."),
                code="tagger.hub",
            )
        # What tells that a model is there comes last, so that a fetch which was broken off is gone on with.
        wanted.sort(key=lambda file: any(fnmatch(file, want) for want in needed))
        place = Path()
        for number, file in enumerate(wanted, 1):
            shown = f"{name}: {file} ({number}/{len(wanted)})"
            if on_progress is not None:
                on_progress("fetching", 0, 0, shown)
            told = None if on_progress is None else partial(_tell, on_progress, shown)
            options = watched(hf_hub_download, told, should_stop)
            place = Path(hf_hub_download(name, file, **options))
            for _part in Path(file).parts:
                place = place.parent
        return place
    except (UserError, StoppedError):
        raise
    except Exception as error:  # a mirror may answer anything, and the library believes it
        message, remedy = failure(name, error)
        raise UserError(message, remedy=remedy, code="tagger.download") from error


def _tell(on_progress: Progress, shown: str, done: int, total: int) -> None:
    on_progress("fetching", done, total, shown)


def missing_library(name: str, extra: str = "tag") -> UserError:
    """The error of a library that an extra brings."""
    from lora_tui.doctor.software import install_command

    return UserError(
        _("{library} is not installed.").format(library=name),
        remedy=_("Install it with: {command}").format(command=install_command(extra)),
        code=f"missing.{extra}",
    )
