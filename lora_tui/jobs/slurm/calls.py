"""Slurm's own programs, called with patience, and what they say made safe to show."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

PATIENCE = 60.0
"""Seconds that a submission may take: a busy controller answers late, and asking twice would be two jobs."""
ASKING = 20.0
"""Seconds that a question may take."""

LIST_FORMAT = "%i|%T|%r|%N|%L|%S|%j"
_TERMINAL_WORD = re.compile(r"[A-Z_]+")
_JOB = re.compile(r"(\d{1,10})(?:;([^\s;|]{1,200}))?")
_HEAD = re.compile(r"^(sbatch|scancel|scontrol|squeue|sacct|sinfo): (error: |fatal: )?", re.MULTILINE)
_NOT_SAID = ("timed out", "Unable to contact", "Communication connection", "Zero Bytes")
_NO_SUCH_JOB = "Invalid job id"


@dataclass(frozen=True)
class Answer:
    """What one of the programs came to. ``status`` is none where it did not end in time."""

    status: int | None
    out: str
    err: str

    @property
    def silent(self) -> bool:
        """Whether Slurm itself did not answer, so that what was asked for may have been done or not."""
        return self.status is None or (self.status != 0 and any(sign in self.err for sign in _NOT_SAID))

    @property
    def words(self) -> str:
        """What it says about what is wrong: its own words in one line, safe to show."""
        said = [_HEAD.sub("", line).strip() for line in self.err.splitlines() if line.strip()]
        told = "; ".join(dict.fromkeys(line.rstrip(".") for line in said if line))
        return plain(told, limit=300) or _("it says nothing")


@dataclass(frozen=True)
class Listed:
    """One job as Slurm tells of it.

    Attributes:
        state: Slurm's word, such as ``PENDING``.
        reason: why it waits, or why it ended, as Slurm calls it.
        nodes: where it runs.
        left: its time until the limit, as Slurm writes it.
        begins: when Slurm expects it to begin, or when it began.
        exit: its exit status and signal, ``0:9``; only of one that is over.
    """

    job: str
    state: str
    reason: str = ""
    nodes: str = ""
    left: str = ""
    begins: str = ""
    name: str = ""
    exit: str = ""


def here() -> bool:
    """Whether jobs can be sent to Slurm from this machine."""
    return shutil.which("sbatch") is not None


def require() -> None:
    """Whether they can.

    Raises:
        UserError: ``slurm.missing``.
    """
    if not here():
        raise UserError(
            _("sbatch is not on this machine, so nothing can be sent to Slurm from here."),
            place="--on slurm",
            remedy=_("Do it on a login node of the cluster, or train on this machine: --on here."),
            code="slurm.missing",
        )


def call(command: Sequence[str], patience: float, *, folder: Path | None = None, data: bytes = b"") -> Answer:
    """Call one of Slurm's programs in ``folder`` with ``data`` to read; one that is not there is one that fails."""
    try:
        done = subprocess.run(
            command,
            input=data,
            capture_output=True,
            timeout=patience,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            start_new_session=True,  # a Ctrl+C of the person's waits for the answer
        )
    except subprocess.TimeoutExpired:
        return Answer(None, "", _("{program} did not answer within {seconds} seconds").format(
            program=command[0], seconds=round(patience)
        ))  # fmt: skip
    except OSError as error:
        return Answer(127, "", f"{command[0]}: {error.strerror}")
    return Answer(done.returncode, _text(done.stdout), _text(done.stderr))


def submit(run_dir: Path, script: str) -> tuple[str, str]:
    """Hand the ``script`` of a run folder to Slurm; the job's number and the name of its cluster, if it has several.

    Raises:
        UserError: ``slurm.refused``, or ``slurm.silent`` where it is unknown whether it was taken.
    """
    require()
    answer = call(["sbatch", "--parsable", script], PATIENCE, folder=run_dir)
    lines = [line for line in answer.out.split("\n") if line.strip()]
    found = _JOB.fullmatch(lines[-1].strip()) if answer.status == 0 and lines else None
    if found is not None:
        return found[1], found[2] or ""
    if answer.silent:
        raise UserError(
            _("Slurm does not answer: {words}.").format(words=answer.words),
            place="sbatch",
            remedy=_("Whether it took the job shows in: squeue --me. Try again when Slurm answers."),
            code="slurm.silent",
        )
    raise UserError(
        _("Slurm refuses the job: {words}.").format(words=answer.words),
        place="sbatch",
        remedy=refusal_remedy(answer.err),
        code="slurm.refused",
    )


def refusal_remedy(words: str) -> str:
    """What to do about a refusal, by the words of sbatch."""
    told = words.lower()
    if "partition" in told:
        return _("sinfo shows the partitions; name one with --partition.")
    if "account" in told or "qos" in told:
        return _("sacctmgr show associations user=$USER shows what you may use; name it with --account and --qos.")
    if "generic resource" in told or "gres" in told:
        return _("sinfo -o '%P %G' shows the GPUs of each partition; ask for them with --gpus.")
    if "time limit" in told:
        return _("sinfo shows the longest time of each partition; ask for less with --time.")
    return _("Change what is asked for; lora-tui train CONFIG --on slurm --dry-run shows the script.")


def try_out(run_dir: Path, script: bytes) -> str:
    """What Slurm would say to a script, which it reads and does not take: when the job would begin, or why not."""
    answer = call(["sbatch", "--test-only"], ASKING, folder=run_dir, data=script)
    return "" if answer.status in (None, 127) else answer.words


def cancel(job: str, cluster: str) -> Answer:
    """Take a job out of Slurm, whatever it is at; one that runs is sent SIGTERM first."""
    return call(["scancel", *_cluster(cluster), job], ASKING)


def requeue(job: str) -> Answer:
    """Send the job that this process is part of back to wait; Slurm ends it at once."""
    return call(["scontrol", "requeue", job], ASKING)


def first_host(nodes: str) -> str:
    """The first of nodes as Slurm writes them, ``gpu[01-04]``."""
    answer = call(["scontrol", "show", "hostnames", nodes], ASKING)
    return answer.out.split("\n")[0].strip() if answer.status == 0 else ""


def version() -> str:
    """Slurm's own version, empty where it does not say."""
    answer = call(["sbatch", "--version"], ASKING)
    return plain(answer.out.strip(), limit=60) if answer.status == 0 else ""


def partitions() -> Answer:
    """The partitions with time limit, nodes and GPUs, a line each, as sinfo tells them."""
    return call(["sinfo", "-h", "-o", "%P|%l|%D|%G"], ASKING)


def ask(jobs: Iterable[str], cluster: str) -> dict[str, Listed] | None:
    """What Slurm knows of ``jobs``: those that wait, run, or ended in the last minutes; none if it does not answer."""
    wanted = sorted(set(jobs))
    line = ["squeue", *_cluster(cluster), "--noheader", "--states=all", f"--jobs={','.join(wanted)}"]
    answer = call([*line, "-o", LIST_FORMAT], ASKING)
    if answer.status != 0 and _NO_SUCH_JOB not in answer.err:
        return None
    return listed(answer.out)


def find(name: str) -> dict[str, Listed] | None:
    """The jobs of that name; none if Slurm does not answer."""
    answer = call(["squeue", "--noheader", f"--name={name}", "-o", LIST_FORMAT], ASKING)
    return listed(answer.out) if answer.status == 0 else None


def look_up(jobs: Iterable[str], cluster: str) -> dict[str, Listed] | None:
    """What Slurm's accounting knows of ``jobs`` that are over; none where there is none or it does not answer."""
    names = "JobIDRaw,State,ExitCode,NodeList%200,JobName%200"
    line = ["sacct", *_cluster(cluster), "-n", "-P", "-X", "-j", ",".join(sorted(set(jobs))), "-o", names]
    answer = call(line, ASKING)
    return accounted(answer.out) if answer.status == 0 else None


def listed(text: str) -> dict[str, Listed]:
    """Lines of :data:`LIST_FORMAT`; what is none of them is passed over."""
    found = {}
    for line in text.split("\n"):
        parts = [plain(part.strip(), limit=200) for part in line.split("|", 6)]
        if len(parts) == 7 and parts[0].isdigit() and _TERMINAL_WORD.fullmatch(parts[1]):
            job, state, reason, nodes, left, begins, name = (
                "" if part in ("N/A", "(null)") else part for part in parts
            )
            found[job] = Listed(job, state, "" if reason == "None" else reason, nodes, left, begins, name)
    return found


def accounted(text: str) -> dict[str, Listed]:
    """Lines of ``sacct -P`` as :func:`look_up` asks for them; ``CANCELLED by 1000`` is ``CANCELLED``."""
    found = {}
    for line in text.split("\n"):
        parts = [plain(part.strip(), limit=200) for part in line.split("|", 4)]
        state = (parts[1].split() or [""])[0] if len(parts) == 5 else ""
        if parts[0].isdigit() and _TERMINAL_WORD.fullmatch(state):
            nodes = "" if parts[3].startswith("None") else parts[3]
            found[parts[0]] = Listed(parts[0], state, nodes=nodes, name=parts[4], exit=parts[2])
    return found


def environment_job(environment: Mapping[str, str] | None = None) -> str:
    """The job that this process is part of; empty outside of any."""
    found = os.environ if environment is None else environment
    return found.get("SLURM_JOB_ID", "")


def _cluster(name: str) -> list[str]:
    return ["-M", name] if name else []


def _text(data: bytes) -> str:
    return data[: 1 << 22].decode("utf-8", "replace")
