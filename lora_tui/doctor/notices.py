"""Where notices of alarms go, and whether the addresses are safe."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.alarms.webhooks import known_webhooks
from lora_tui.doctor.check import NOTE, OK, WARNING, Check
from lora_tui.text import _, plain


def notice_checks() -> Iterator[Check]:
    """The webhooks by form and host, and what is wrong with others."""
    found, wrong = known_webhooks()
    title = _("webhooks")
    for error in wrong:
        yield Check("machine", "webhook", WARNING, title, f"{error.place}: {plain(error.message)}", plain(error.remedy))
    if found:
        yield Check("machine", "webhooks", OK, title, ", ".join(hook.shown for hook in found))
    elif not wrong:
        text = _("none: with no terminal open nobody is told of alarms and of the end of runs")
        yield Check("machine", "webhooks", NOTE, title, text, _("Add one: lora-tui notify add"))
