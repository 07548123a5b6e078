"""A LoRA file looked at from its first byte to its last: see :func:`check_lora`. Imports torch only for the numbers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.files import open_file
from lora_tui.text import _, bytes_text, plain
from lora_tui.weights.checking.finding import Finding, LoraCheck, by_gravity, named
from lora_tui.weights.checking.readers import reader_findings, verdicts
from lora_tui.weights.checking.structure import Layers, layers_of, shape_findings, structure_findings
from lora_tui.weights.header.format import Header, TensorInfo, read_header, read_scalars
from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.metadata import MODEL_HASH

HUGE_ENTRY = 1 << 20
"""Characters of an entry of the metadata that no reader needs: a picture as text, or mischief."""
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_PIECE = 1 << 22
Progress = Callable[[int, int], None]


def check_lora(path: Path, *, base: str = "", progress: Progress = lambda done, total: None) -> LoraCheck:
    """All that is wrong with the LoRA file at ``path``, each with its remedy; memory stays bounded at any size.

    Args:
        base: a model whose widths its layers are compared with; else the published model of its family.
        progress: told bytes that were looked at, and all.

    Raises:
        UserError: there is no such file, or it may not be read (``weights.unreadable``).
    """
    try:
        header = read_header(path)
        info = lora_info(path)
    except UserError as error:
        if error.code == "weights.unreadable":
            raise
        return LoraCheck(path, (Finding("error", error.code, error.message, error.remedy),))
    layers = layers_of(header, info.family)
    findings = [*structure_findings(path, header, info, layers), *shape_findings(info, layers, base)]
    findings += [*reader_findings(info, header), *_metadata(header)]
    seen, values, numbers = _numbers(path, header, layers, progress)
    findings += [*seen, *_hash(path, header)]
    return LoraCheck(
        path, by_gravity(findings), info.family, info.kind, info.layout, verdicts(info, header),
        len(header.tensors), values, numbers,
    )  # fmt: skip


def _numbers(
    path: Path, header: Header, layers: Layers, progress: Progress
) -> tuple[list[Finding], int | None, dict[str, object]]:
    try:
        from lora_tui.weights.checking.numbers import look, number_findings, summary
    except ImportError:
        text = _("Its numbers were not looked at: torch is not installed.")
        return [Finding("note", "number.skipped", text, 'pip install "lora-tui[train]"')], None, {}
    try:
        found = look(path, header, layers.parts, _alphas(path, layers), progress=progress)
    except UserError as error:
        return [Finding("error", error.code, error.message, error.remedy)], None, {}
    return [*number_findings(found, layers.parts)], found.values, summary(found)


def _alphas(path: Path, layers: Layers) -> Mapping[str, float]:
    stated: dict[str, TensorInfo] = {stem: own["alpha"] for stem, own in layers.parts.items() if "alpha" in own}
    return read_scalars(path, stated) if stated else {}


def _metadata(header: Header) -> Iterator[Finding]:
    """Entries that are no honest words."""
    odd = [key for key, value in header.metadata.items() if _CONTROLS.search(key) or _CONTROLS.search(value)]
    if odd:
        text = _("Entries of its metadata hold control characters, which terminals obey: {names}.")
        remedy = _("They are shown as symbols here; lora metadata --unset KEY takes an entry away.")
        yield Finding("warning", "metadata.controls", text.format(names=named(odd)), remedy, tuple(odd))
    huge = [key for key, value in header.metadata.items() if len(value) > HUGE_ENTRY]
    if huge:
        size = bytes_text(max(len(header.metadata[key]) for key in huge))
        text = _("Entries of its metadata are huge, up to {size}: {names}.").format(size=size, names=named(huge))
        remedy = _("Every program reads them before the first image; lora metadata --unset KEY takes an entry away.")
        yield Finding("note", "metadata.huge", text, remedy, tuple(huge))


def _hash(path: Path, header: Header) -> Iterator[Finding]:
    """Whether the tensors are those that the metadata state the hash of."""
    told = header.metadata.get(MODEL_HASH, "").removeprefix("0x").lower()
    if not re.fullmatch("[0-9a-f]{64}", told):
        return
    digest = hashlib.sha256()
    try:
        with open_file(path) as file:
            file.seek(8 + int.from_bytes(file.read(8), "little"))
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        yield Finding("error", "weights.unreadable", plain(error.strerror or str(error)))
        return
    if digest.hexdigest() != told:
        text = _("The hash of tensors that its metadata state is not that of its tensors: they were changed after.")
        remedy = _("Galleries will not find it by its hash; any edit with lora metadata makes the hashes again.")
        yield Finding("warning", "hash.stale", text, remedy)
