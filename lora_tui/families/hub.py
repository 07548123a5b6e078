"""Base models by their names on the hub: found whole in its cache, or fetched into it. Imports no torch."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from lora_tui.config.paths import is_hub_name
from lora_tui.errors import UserError
from lora_tui.families.parts import DIFFUSERS_STEM, TRANSFORMERS_STEM, weights_of
from lora_tui.hub import failure, snapshot, watched
from lora_tui.places import exists, expand, is_file
from lora_tui.text import _, plain

Progress = Callable[[int, int, str], None]
"""Told how many MB are there, of how many, and the file in hand."""

INDEX = "model_index.json"
UNUSED = ("safety_checker", "image_encoder", "feature_extractor")
"""Parts of a model folder that nobody trains or draws with here."""
#: Folders that a model has, and the families that are built of them; the first that fits holds.
BY_PARTS: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (frozenset({"transformer", "text_encoder_2", "text_encoder_3"}), ("sd3",)),
    (frozenset({"transformer", "text_encoder_2"}), ("flux",)),
    (frozenset({"transformer", "text_encoder"}), ("flux2", "chroma", "zimage", "qwen")),
    (frozenset({"unet", "text_encoder_2"}), ("sdxl",)),
    (frozenset({"unet", "text_encoder"}), ("sd15", "sd2")),
)
MB = 1_000_000


def on_hub(text: str) -> bool:
    """Whether a setting names a model on the hub rather than a file or folder here."""
    return is_hub_name(text) and not exists(expand(text))


def local(text: str) -> Path | None:
    """Where the model that a setting names lies on this machine, in the hub's cache too; none where it does not."""
    path = expand(text)
    if not text or exists(path):
        return path if text else None
    return whole(text) if is_hub_name(text) else None


def whole(name: str, parts: Sequence[str] = ()) -> Path | None:
    """The folder of the model ``name`` in the hub's cache, when it has the weights of ``parts``; no network.

    Without ``parts`` it must have those of all that its index lists.
    """
    found = snapshot(name)
    if found is None or not is_file(found / INDEX):
        return None
    for part in parts or _parts_of(found / INDEX):
        if part.startswith("tokenizer"):
            if not any((found / part).glob("*.json")):
                return None
            continue
        stem = TRANSFORMERS_STEM if part.startswith("text_encoder") else DIFFUSERS_STEM
        try:
            weights_of(found, part, stem)
        except UserError:
            return None
    return found


def _parts_of(index: Path) -> list[str]:
    """The parts with weights that an index lists."""
    try:
        listed: Any = json.loads(index.read_bytes())
        kinds = {part: kind for part, kind in listed.items() if isinstance(kind, list) and kind[-1:] != [None]}
    except (OSError, ValueError, RecursionError, AttributeError):
        return []
    return [part for part in kinds if not part.startswith((*UNUSED, "tokenizer", "scheduler"))]


def fetched(
    name: str,
    *,
    family: str = "",
    parts: Sequence[str] = (),
    place: str = "model.base",
    on_progress: Progress | None = None,
) -> Path:
    """The folder of the model ``name``; what the cache lacks of it is downloaded.

    Args:
        family: that it should be of; a model of other parts is refused before anything large is fetched.
        parts: those whose weights are needed; none means all that there are.
        place: the setting that names the model.
        on_progress: may raise, which breaks the fetch off; the next one goes on from there.

    Raises:
        UserError: it cannot be fetched, or it is no folder in diffusers' layout with safetensors.
        OSError: the disk is full or may not be written to.
    """
    if (found := whole(name, parts)) is not None:
        return found
    from huggingface_hub import HfApi, constants, hf_hub_download

    reached: list[BaseException] = []

    def tell(done: int, total: int, file: str) -> None:
        try:
            if on_progress is not None:
                on_progress(-(-done // MB), -(-total // MB), file)
        except BaseException as stop:  # which the library would take for a failed download
            reached.append(stop)
            raise

    try:
        asked = HfApi().model_info(name, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        sizes = {file.rfilename: int(file.size or 0) for file in asked.siblings or []}
        wanted = _wanted(name, sizes, parts, place)
        _check_family(name, family, {file.partition("/")[0] for file in wanted})
        total, before, path = sum(sizes[file] for file in wanted), 0, Path()
        for number, file in enumerate(wanted, 1):
            shown = f"{name}: {file} ({number}/{len(wanted)})"
            tell(before, total, shown)

            def update(done: int, _size: int, before: int = before, shown: str = shown) -> None:
                tell(before + done, total, shown)

            path = Path(hf_hub_download(name, file, **watched(hf_hub_download, update)))
            before += sizes[file]
        tell(total, total, name)
        return path.parent  # the index lies at the top and comes last
    except UserError:
        raise
    except Exception as error:  # a mirror may answer anything, and the library believes it
        if reached:
            raise reached[0] from None
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        message, remedy = failure(name, error)
        raise UserError(message, place=place, remedy=remedy, code="model.download") from None


def _check_family(name: str, family: str, folders: Collection[str]) -> None:
    """Refuse a model whose parts are those of other families."""
    found = next((families for signs, families in BY_PARTS if signs <= set(folders)), ())
    if family and family not in found:
        raise UserError(
            _("{name} on the hub has the parts of another family than {family}: {parts}.").format(
                name=plain(name),
                family=family,
                parts=plain(", ".join(sorted(one for one in folders if "." not in one))),
            ),
            place="model.base",
            remedy=_("Set model.family to {families}, or choose another model.").format(families=" / ".join(found))
            if found
            else _("Choose a base model of the family that model.family names."),
            code="model.family",
        )


def _wanted(name: str, files: Collection[str], parts: Sequence[str], place: str) -> list[str]:
    """The files to fetch: settings and words first, then weights, then the index, which says that all are there."""
    if INDEX not in files:
        raise UserError(
            _("{name} on the hub is no folder in diffusers' layout: it has no model_index.json.").format(
                name=plain(name)
            ),
            place=place,
            remedy=_("Download its .safetensors file and give the path, or choose a repository of that layout."),
            code="model.not_diffusers",
        )
    inside = [file for file in files if file.count("/") == 1 and not file.startswith(UNUSED)]
    weights = [file for file in inside if file.endswith(".safetensors") and ".non_ema." not in file]
    found = [file for file in inside if file.endswith((".json", ".txt", ".model"))]
    for part in parts or sorted({file.partition("/")[0] for file in weights}):
        own = [file for file in weights if file.startswith(f"{part}/")]
        found += [file for file in own if ".fp16." not in file and ".fp16-" not in file] or own
    if not weights:
        raise UserError(
            _("{name} on the hub has no .safetensors weights.").format(name=plain(name)),
            place=place,
            remedy=_("Choose another repository of the model, or a single .safetensors file."),
            code="model.pickle",
        )
    return [*found, INDEX]
