"""Which programs read a LoRA file, by its family, layout and kind. Knows no torch.

What diffusers does was measured (the table in docs/lora-files.md, diffusers 0.42); what the others read follows from
the names that they look for: A1111 those of kohya alone, Forge and ComfyUI also those of diffusers. Of what was neither
measured nor read in their sources nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from lora_tui.text import _
from lora_tui.weights.checking.finding import Finding, Verdict
from lora_tui.weights.header.format import Header
from lora_tui.weights.header.loras import LoraInfo
from lora_tui.weights.names.parts import kind_and_layer

PROGRAMS = ("ComfyUI", "A1111", "Forge", "diffusers")
UNETS = ("sd15", "sd2", "sdxl")
_PLAIN = ("lora", "locon")
_FLUX_WIDTH = 3072
"""The width that diffusers' converter of kohya's FLUX names knows."""
Reads = Literal["yes", "part", "no", "unknown"]
#: Why a program does not read a file: its names, which can be changed; or its family or kind, which cannot.
Cause = Literal["", "names", "family", "kind"]
Found = tuple[Reads, Cause, str]
YES: Found = ("yes", "", "")
UNKNOWN: Found = ("unknown", "", "")


def verdicts(info: LoraInfo, header: Header) -> tuple[Verdict, ...]:
    """How each program reads the file."""
    return tuple(Verdict(program, reads, why) for program, (reads, _cause, why) in _found(info, header).items())


def reader_findings(info: LoraInfo, header: Header) -> Iterator[Finding]:
    """The programs that would read the file under other names: for these there is something to do."""
    for program, (reads, cause, why) in _found(info, header).items():
        if reads in ("no", "part") and cause == "names":
            layout = "kohya" if program == "A1111" or info.layout != "kohya" else "diffusers"
            if program == "diffusers":
                layout = "diffusers"
            text = _("{program} does not read it: {why}.").format(program=program, why=why)
            remedy = _("For {program}: lora-tui lora convert FILE NEW --to {layout}").format(
                program=program, layout=layout
            )
            yield Finding("warning", f"reader.{program.lower()}", text, remedy)


def _found(info: LoraInfo, header: Header) -> dict[str, Found]:
    if info.family == "unknown" or info.layout == "unknown":
        return dict.fromkeys(PROGRAMS, UNKNOWN)
    return {
        "ComfyUI": _comfyui(info),
        "A1111": _a1111(info),
        "Forge": _forge(info),
        "diffusers": _diffusers(info, header),
    }


def _comfyui(info: LoraInfo) -> Found:
    return YES if info.layout in ("kohya", "diffusers", "comfyui", "onetrainer") else UNKNOWN


def _a1111(info: LoraInfo) -> Found:
    if info.family not in UNETS:
        return "no", "family", _("it does not draw with such models")
    if info.layout in ("diffusers", "comfyui", "peft"):
        return "no", "names", _("it looks for kohya's names alone")
    return YES if info.layout == "kohya" else UNKNOWN


def _forge(info: LoraInfo) -> Found:
    if info.family in UNETS:
        return YES if info.layout == "kohya" else UNKNOWN
    if info.family == "flux":
        return YES if info.layout in ("kohya", "diffusers") and info.kind in (*_PLAIN, "dora") else UNKNOWN
    if info.family == "chroma":
        return UNKNOWN
    return "no", "family", _("it does not draw with such models")


def _diffusers(info: LoraInfo, header: Header) -> Found:
    if info.kind not in (*_PLAIN, "dora"):
        return "no", "kind", _("it refuses all kinds but LoRA")
    if info.layout not in ("kohya", "diffusers", "comfyui"):
        return UNKNOWN
    if info.layout == "kohya":
        if info.family == "sd3":
            return "no", "names", _("it has no reader for kohya's names of SD3 and adds nothing, without a word")
        if info.family in ("flux", "chroma") and not _published_width(header):
            return "no", "names", _("its reader of kohya's names knows the published width alone")
    if info.layout == "comfyui" and info.family not in ("zimage", "qwen"):
        return UNKNOWN
    has_alpha = any(kind_and_layer(name)[0] == "alpha" for name in header.tensors)
    if has_alpha and info.layout == "diffusers" and info.family in ("sd3", "flux2", "zimage"):
        return "no", "names", _("it refuses the whole file for an alpha beside the matrices")
    if info.kind == "dora":
        return "part", "kind", _("it drops the sizes of DoRA")
    return YES


def _published_width(header: Header) -> bool:
    """Whether a layer reads as many values as FLUX.1's hidden states have."""
    downs = (tensor.shape for name, tensor in header.tensors.items() if kind_and_layer(name)[0] == "down")
    return any(len(shape) > 1 and shape[1] == _FLUX_WIDTH for shape in downs)
