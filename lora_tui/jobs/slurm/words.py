"""Slurm's words for people: why a job waits, and why it ended."""

from __future__ import annotations

from collections.abc import Mapping

from lora_tui.text.translate import N_, _

REASONS: Mapping[str, str] = {
    "Resources": N_("for free nodes or GPUs"),
    "Priority": N_("for jobs with more priority"),
    "Dependency": N_("for another job"),
    "BeginTime": N_("for its time to begin"),
    "JobHeldUser": N_("held by its user: scontrol release {job}"),
    "JobHeldAdmin": N_("held by an administrator"),
    "ReqNodeNotAvail": N_("for nodes that are not available now"),
    "PartitionDown": N_("the partition is down"),
    "PartitionInactive": N_("the partition takes no jobs now"),
    "PartitionTimeLimit": N_("it asks for more time than the partition gives"),
    "PartitionNodeLimit": N_("it asks for more nodes than the partition gives"),
    "PartitionConfig": N_("the partition cannot give what it asks for"),
    "QOSMaxJobsPerUserLimit": N_("for other jobs of yours to end"),
    "QOSMaxGRESPerUser": N_("for other jobs of yours to give GPUs back"),
    "AssocGrpGRES": N_("for other jobs of your account to give GPUs back"),
    "AssocMaxJobsLimit": N_("for other jobs of yours to end"),
    "AssocGrpCPUMinutesLimit": N_("the account's time is used up"),
    "BadConstraints": N_("no node can give what it asks for"),
    "NodeDown": N_("a node of it is down"),
    "Cleaning": N_("its last turn is being cleared away"),
    "Reservation": N_("for its reservation"),
    "Licenses": N_("for a licence"),
}
"""Slurm's reason for waiting -> the words behind "waits in Slurm"."""

ENDINGS: Mapping[str, tuple[str, str]] = {
    "TIMEOUT": (
        N_("Slurm ended it at its time limit before it had saved."),
        N_("Ask for more time with --time, and save states more often."),
    ),
    "OUT_OF_MEMORY": (N_("Slurm ended it for want of memory."), N_("Ask for more main memory with --memory.")),
    "NODE_FAIL": (N_("The node that it ran on has failed."), N_("Resume it: it goes on from its last state.")),
    "PREEMPTED": (
        N_("Slurm took its node away for another job before it had saved."),
        N_("Resume it: it goes on from its last state."),
    ),
    "CANCELLED": (N_("It was cancelled in Slurm."), N_("Resume it to send it again.")),
    "DEADLINE": (N_("Its deadline in Slurm had come."), N_("Resume it to send it again.")),
    "BOOT_FAIL": (N_("Its node could not be started."), N_("Resume it to send it again.")),
    "FAILED": (N_("Its job in Slurm failed."), N_("What the job printed is in slurm.log of the run folder.")),
    "COMPLETED": (
        N_("Its job in Slurm ended without saying why."),
        N_("What the job printed is in slurm.log of the run folder."),
    ),
}
"""Slurm's word for the end of a job -> what happened, and what to do."""

WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
AT_WORK = frozenset(
    {"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}
)


def why_waiting(reason: str, job: str) -> str:
    """Why a job waits, in words; a reason that is not known is said as Slurm says it."""
    known = REASONS.get(reason) or next((text for name, text in REASONS.items() if reason.startswith(name)), "")
    return _(known).format(job=job) if known else reason


def why_ended(state: str) -> tuple[str, str]:
    """What happened to a job that ended in a state, and what to do."""
    message, advice = ENDINGS.get(state, ENDINGS["FAILED"])
    return _(message), _(advice)
