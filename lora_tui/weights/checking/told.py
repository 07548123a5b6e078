"""What a check of a LoRA file found, in lines for a person. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping

from lora_tui.text import N_, _, count, number, plain
from lora_tui.text.plain import sentences
from lora_tui.weights.checking.finding import LoraCheck

READS: Mapping[str, str] = {
    "yes": N_("reads it"),
    "part": N_("reads a part"),
    "no": N_("does not read it"),
    "unknown": N_("not known"),
}
GRAVITY: Mapping[str, str] = {"error": N_("error"), "warning": N_("warning"), "note": N_("note")}


def told_lines(check: LoraCheck) -> list[str]:
    """The file, what was found, what was looked at, and who reads it; safe to show."""
    lines = [plain(str(check.path))]
    for finding in check.findings:
        lines.append(f"  {_(GRAVITY[finding.severity])}: {sentences(finding.message, finding.remedy)}")
    if not check.problems and check.family:
        lines.append("  " + _("sound: nothing is wrong with it."))
    if check.values is not None:
        text = _("{values} numbers of {tensors} tensors were looked at").format(
            values=count(check.values), tensors=count(check.tensors)
        )
        if "median_rms" in check.numbers:
            text += _("; the middle layer adds {middle} a weight, the largest {largest}").format(
                middle=number(check.numbers["median_rms"]), largest=number(check.numbers["largest_rms"])
            )
        lines.append(f"  {text}")
    for verdict in check.readers:
        words = f"{_(READS[verdict.reads])}: {verdict.why}" if verdict.why else _(READS[verdict.reads])
        lines.append(f"  {verdict.program:<9} {words}")
    return lines
