"""Whether runs can be sent to a cluster from here, and what the settings ask it for."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.doctor.check import NOTE, OK, WARNING, Check
from lora_tui.errors import UserError
from lora_tui.jobs.slurm import calls
from lora_tui.jobs.slurm.defaults import default_options
from lora_tui.text import _, plain


def cluster_checks() -> Iterator[Check]:
    """Slurm: its version and partitions, or that it is not here; and ``[slurm]`` of the settings, if it is wrong."""
    title = "Slurm"
    if not calls.here():
        yield Check("machine", "slurm", NOTE, title, _("not here: needed only to send runs to a cluster"))
        return
    answer = calls.partitions()
    if answer.status != 0:
        remedy = _("Ask whoever runs the cluster; lora-tui train without --on slurm trains here.")
        text = _("its programs are here, and it does not answer: {words}").format(words=answer.words)
        yield Check("machine", "slurm", WARNING, title, text, remedy)
    else:
        names = [line.partition("|")[0] for line in answer.out.split("\n") if line.strip()]
        shown = plain(", ".join(dict.fromkeys(names)), limit=200)
        text = _("{version}, partitions: {names}").format(version=calls.version(), names=shown or "-")
        yield Check("machine", "slurm", OK, title, text)
    try:
        default_options()
    except UserError as error:
        yield Check("machine", "slurm.options", WARNING, title, f"{error.place}: {error.message}", error.remedy)
