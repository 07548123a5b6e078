"""The words of alarms: what is so, and what to try, with the numbers of the run."""

from __future__ import annotations

from collections.abc import Callable

from lora_tui.alarms.alarm import ERROR, NOTICE, WARNING, Alarm
from lora_tui.alarms.facts import RunFacts
from lora_tui.alarms.finding import Finding
from lora_tui.text.formats import bytes_text, count, duration, number, setting_number
from lora_tui.text.plain import plain, sentences
from lora_tui.text.translate import _

Told = tuple[str, str]
"""What is so, and what to try."""

FEW_IMAGES = 20
"""Images below which more of them are the first thing to try."""


def alarm_for(finding: Finding, facts: RunFacts, time: float) -> Alarm:
    """The alarm of a finding, noticed at ``time`` (unix seconds)."""
    level, tell = _TOLD[finding.code]
    message, advice = tell(finding, facts)
    return Alarm(finding.code, level, message, advice, finding.step, finding.at, time)


def _nan(finding: Finding, facts: RunFacts) -> Told:
    message = _("NaN or Inf from step {step} on: such an update teaches nothing.").format(step=count(finding.at))
    return message, sentences(
        _lower_rate(facts),
        _("Use bf16 or fp32 instead of fp16."),
        _("If it is always the same image, look at it: the log names it."),
    )


def _spike(finding: Finding, facts: RunFacts) -> Told:
    loss, usual = number(finding.numbers["loss"]), number(finding.numbers["usual"])
    message = _("The loss jumped to {loss} at step {step}; {usual} was usual.")
    advice = _("If the samples fall apart, go back to a file from before it.")
    file = facts.saved_by(finding.at - 1)
    if file:
        advice = _("If the samples fall apart, go back to {file}.").format(file=plain(file))
    return message.format(loss=loss, step=count(finding.at), usual=usual), sentences(
        advice, _lower_rate(facts), _("Use warm-up, or limit the gradients' norm to 1.")
    )


def _overfitting(finding: Finding, facts: RunFacts) -> Told:
    low, now = number(finding.numbers["lowest"]), number(finding.numbers["now"])
    message = _("Overfitting since step {step}: validation rose from {low} to {now} while the training loss did not.")
    file = facts.saved_by(finding.at)
    best = _("Stop here and use {file}.").format(file=plain(file)) if file else _("Stop here; the best is behind it.")
    return message.format(step=count(finding.at), low=low, now=now), sentences(
        best, _("For the next run:"), _against_overfitting(facts)
    )


def _against_overfitting(facts: RunFacts) -> str:
    ways = [_("fewer steps or repeats")]
    if facts.images:
        ways.append(_("more images ({count} now)").format(count=facts.images))
    else:
        ways.append(_("more images"))
    if facts.rank > 4:
        ways.append(_("a lower rank ({rank} now)").format(rank=facts.rank))
    if facts.rate:
        ways.append(_("a lower learning rate ({rate} now)").format(rate=setting_number(facts.rate)))
    ways.append(_("dropout or weight decay"))
    if not facts.regularised:
        ways.append(_("regularisation images"))
    if 0 < facts.images < FEW_IMAGES:
        ways.insert(0, ways.pop(1))
    return _one_of(ways)


def _diverging(finding: Finding, facts: RunFacts) -> Told:
    low, now = number(finding.numbers["lowest"]), number(finding.numbers["now"])
    message = _("The loss rises since step {step}, from {low} to {now}, in training as well.")
    file = facts.saved_by(finding.at)
    back = _("The last file from before it is {file}.").format(file=plain(file)) if file else ""
    ways = [_("warm-up"), _("a limit of 1 on the gradients' norm"), _("alpha not above the rank")]
    return message.format(step=count(finding.at), low=low, now=now), sentences(
        _lower_rate(facts), _("Also try:"), _one_of(ways), back
    )


def _no_fall(finding: Finding, facts: RunFacts) -> Told:
    before, now = number(finding.numbers["before"]), number(finding.numbers["now"])
    if "validation" in finding.numbers:
        message = _("Validation has not fallen in {step} steps: {before} at the start, {now} now.")
    else:
        message = _("The loss has not fallen in {step} steps: {before} at the start, {now} now.")
    ways = [_("a higher learning rate ({rate} now)").format(rate=setting_number(facts.rate)) if facts.rate else ""]
    ways += [_("a higher rank ({rank} now)").format(rank=facts.rank) if facts.rank else _("a higher rank")]
    ways += [
        _("captions that say what is in the images"),
        _("fewer regularisation images") if facts.regularised else "",
    ]
    return message.format(step=count(finding.step), before=before, now=now), sentences(
        _("Look at the samples: if they do not change either, it learns nothing."), _("Try:"), _one_of(ways)
    )


def _underfitting(finding: Finding, facts: RunFacts) -> Told:
    message = _("The loss was still falling at the end: {share} of its fall lies in the last third.")
    ways = [
        _("more steps or repeats"),
        _("a higher learning rate ({rate} now)").format(rate=setting_number(facts.rate)) if facts.rate else "",
        _("a higher rank ({rank} now)").format(rank=facts.rank) if facts.rank else _("a higher rank"),
        _("fewer regularisation images") if facts.regularised else "",
    ]
    return message.format(share=f"{finding.numbers['share']:.0%}"), sentences(
        _("It can learn more, unless the samples are good already."), _("Try:"), _one_of(ways)
    )


def _slower(finding: Finding, facts: RunFacts) -> Told:
    before, now, wait = (finding.numbers[name] for name in ("before", "now", "wait"))
    message = _("Steps take {now} s instead of {before} s since step {step}.")
    if wait > 0.3:
        advice = sentences(_("{share} of that is waiting for images.").format(share=f"{wait:.0%}"), _feed(facts))
    else:
        advice = _(
            "Look for other programs on the GPU and CPU, for heat (a hot card slows down), and for a card whose memory "
            "is full."
        )
    return message.format(now=number(now, 2), before=number(before, 2), step=count(finding.at)), advice


def _gpu_idle(finding: Finding, facts: RunFacts) -> Told:
    wait = finding.numbers["wait"]
    message = _("The GPU has been idle for a minute while the run trains.")
    if wait > 0.3:
        share = _("{share} of a step is waiting for images.").format(share=f"{wait:.0%}")
        return message, sentences(share, _feed(facts))
    return message, _("Steps may be too small for it: a larger batch, or less streaming of blocks, uses it better.")


def _feed(facts: RunFacts) -> str:
    if facts.cached:
        return _("Put dataset and cache on a local disk.")
    return _("Turn on memory.cache_latents, and put dataset and cache on a local disk.")


def _gpu_memory(finding: Finding, facts: RunFacts) -> Told:
    used, total = bytes_text(finding.numbers["used"]), bytes_text(finding.numbers["total"])
    message = _("{used} of {total} of the GPU's memory are needed: little more, and it runs out.")
    return message.format(used=used, total=total), _(
        "Close other programs on it, or go on with gradient checkpointing, a smaller batch, or a packed base."
    )


def _memory(finding: Finding, facts: RunFacts) -> Told:
    used, total = bytes_text(finding.numbers["used"]), bytes_text(finding.numbers["total"])
    message = _("{used} of {total} of the machine's memory are used: the system may kill the run.")
    return message.format(used=used, total=total), _("Close other programs, or stream fewer blocks.")


def _disk(finding: Finding, facts: RunFacts) -> Told:
    message = _("{free} are left on the disk of the run; files to come may not fit.")
    return message.format(free=bytes_text(finding.numbers["free"])), _(
        "Remove old runs and caches, or set saving.keep_last."
    )


def _silent(finding: Finding, facts: RunFacts) -> Told:
    message = _("The run has said nothing for {time}, though its process lives.")
    return message.format(time=duration(finding.numbers["seconds"])), _(
        "Look at the log and at the disk it writes to. Stop it now if it hangs; it can be resumed from its last state."
    )


def _budget_short(finding: Finding, facts: RunFacts) -> Told:
    message = _("The budget ends before the run: {needed} are needed, {left} are left.")
    needed, left = duration(finding.numbers["needed"]), duration(finding.numbers["left"])
    step = count(int(finding.numbers["reached"]))
    return message.format(needed=needed, left=left), _(
        "It will save and stop near step {step}, and can be resumed from there."
    ).format(step=step)


def _lower_rate(facts: RunFacts) -> str:
    if facts.rate:
        return _("Lower the learning rate ({rate} now) to a half or a third.").format(rate=setting_number(facts.rate))
    return _("Lower the learning rate.")


def _one_of(ways: list[str]) -> str:
    return _("{ways}.").format(ways=_(", ").join(way for way in ways if way))


_TOLD: dict[str, tuple[str, Callable[[Finding, RunFacts], Told]]] = {
    "nan": (ERROR, _nan),
    "spike": (WARNING, _spike),
    "no_fall": (NOTICE, _no_fall),
    "overfitting": (WARNING, _overfitting),
    "diverging": (WARNING, _diverging),
    "underfitting": (NOTICE, _underfitting),
    "slower": (WARNING, _slower),
    "gpu_idle": (WARNING, _gpu_idle),
    "gpu_memory": (WARNING, _gpu_memory),
    "memory": (WARNING, _memory),
    "disk": (WARNING, _disk),
    "silent": (ERROR, _silent),
    "budget_short": (NOTICE, _budget_short),
}
"""Level and words of each code."""
