"""Why a job died, in words: from its exit status or signal, the machine's state and the end of its log."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from lora_tui.files import open_file
from lora_tui.text.plain import plain
from lora_tui.text.translate import N_, _

TAIL = 1 << 16
"""Bytes of the log's end that are looked at."""

TRAIN_PARTS = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors")
"""Packages of the extra ``train``."""


@dataclass(frozen=True)
class Death:
    """What is known about an end.

    Attributes:
        exit_status: when the process ended by itself; none when that is unknown or a signal ended it.
        signal: the number of the signal that ended it.
        log: the end of its output.
        oom_kills: how many processes the kernel killed for want of memory just before.
        ram_free: share of memory (0 to 1) that was free at the last look; none if nobody looked.
        disk_free: bytes free on the run's disk; none if unknown.
        trained: whether this life had made a step; none if unknown.
    """

    exit_status: int | None = None
    signal: int | None = None
    log: str = ""
    oom_kills: int = 0
    ram_free: float | None = None
    disk_free: int | None = None
    trained: bool | None = None


@dataclass(frozen=True)
class Explanation:
    """A cause: a stable ``code``, what happened (with the place it came from) and what to do about it."""

    code: str
    message: str
    advice: str


@dataclass(frozen=True)
class _Sign:
    """Words in the log that give a cause away."""

    code: str
    pattern: re.Pattern[str]
    message: str
    advice: str


def _sign(code: str, pattern: str, message: str, advice: str) -> _Sign:
    return _Sign(code, re.compile(pattern, re.IGNORECASE), message, advice)


_MEMORY_ADVICE = N_(
    "Lower the batch size or the resolution, turn gradient checkpointing on, or free memory on the GPU; then resume."
)
_SIGNS = (
    _sign(
        "gpu.memory",
        r"cuda out of memory|torch\.(cuda\.)?outofmemoryerror|cuda error: out of memory"
        r"|(cublas|cudnn)_status_alloc_failed|hip out of memory|mps backend out of memory",
        N_("The GPU ran out of memory."),
        _MEMORY_ADVICE,
    ),
    _sign(
        "memory",
        r"\bmemoryerror\b|defaultcpuallocator|cannot allocate memory|std::bad_alloc|errno 12\b|can't allocate memory",
        N_("The machine ran out of memory."),
        N_(
            "Close other programs, lower the batch size or the resolution, or take a machine with more memory; "
            "then resume."
        ),
    ),
    _sign(
        "disk.full",
        r"no space left on device|errno 28\b|disk quota exceeded|errno 122\b|enospc",
        N_("The disk is full."),
        N_("Make room (older runs, caches, checkpoints), then resume; what was saved before is whole."),
    ),
    _sign(
        "shared_memory",
        r"insufficient shared memory|bus error.{0,80}shm|unable to (open|write).{0,40}shared memory",
        N_("The data loader ran out of shared memory (/dev/shm)."),
        N_("Start the container with more, for example --shm-size=2g, then resume."),
    ),
    _sign(
        "disk.readonly",
        r"read-only file system|errno 30\b",
        N_("The disk can only be read."),
        N_("Move the run to a place that can be written."),
    ),
    _sign(
        "files.many",
        r"too many open files|errno 24\b",
        N_("Too many files were open."),
        N_("Raise the limit in the shell that starts the run: ulimit -n 65536. Then resume."),
    ),
    _sign(
        "gpu.driver",
        r"found no nvidia driver|driver version is insufficient|driver on your system is too old|nvml.{0,40}mismatch",
        N_("The NVIDIA driver is missing or too old for this torch."),
        N_("Update the driver, or install a torch built for it; lora-tui doctor shows both versions."),
    ),
    _sign(
        "gpu.build",
        r"no kernel image is available|not compiled with cuda|invalid device function",
        N_("This torch was not built for this GPU."),
        N_("Install a torch build that knows it; lora-tui doctor shows what is installed."),
    ),
    _sign(
        "gpu.device",
        r"invalid device ordinal|no cuda gpus are available",
        N_("The chosen GPU is not there."),
        N_("Look at memory.device in the configuration, and at CUDA_VISIBLE_DEVICES."),
    ),
    _sign(
        "gpu.lost",
        r"gpu is lost|unspecified launch failure|uncorrectable ecc|illegal memory access"
        r"|device-side assert|cuda error:",
        N_("The GPU reported an error."),
        N_("Resume once; if it comes again, look at dmesg for Xid lines and try another GPU or a cooler one."),
    ),
    _sign(
        "model.damaged",
        r"safetensorerror|headertoolarge|incomplete metadata|metadataincompletebuffer",
        N_("A model file is damaged or incomplete."),
        N_("Download it again and compare its size with the source's."),
    ),
    _sign(
        "network",
        r"localentrynotfounderror|couldn't connect to|name resolution|connection ?error"
        r"|max retries exceeded|offlinemode",
        N_("A file had to be downloaded and the network did not answer."),
        N_("Give the base model as a file or folder on this machine, or fix the connection; then resume."),
    ),
    _sign(
        "hub.refused",
        r"gatedrepoerror|repositorynotfounderror|401 client error|403 client error",
        N_("The model hub refused the download."),
        N_("Check the name, accept the model's licence on its page and log in, or use a file on this machine."),
    ),
    _sign(
        "permission",
        r"permissionerror|errno 13\b",
        N_("A file may not be read or written."),
        N_("Fix its permissions."),
    ),
    _sign(
        "files.gone",
        r"filenotfounderror|notadirectoryerror|fileexistserror|errno (2|17|20)\b",
        N_("A file or folder was moved or removed meanwhile, or something else stands in its place."),
        N_("Put it back if it is still needed, then resume: it goes on from its last state."),
    ),
)

_SIGNALS: dict[int, tuple[str, str, str]] = {
    signal.SIGTERM: ("terminated", N_("It was asked to end (SIGTERM) and did not save in time."), N_("Resume it.")),
    signal.SIGINT: ("interrupted", N_("It was interrupted (SIGINT)."), N_("Resume it.")),
    signal.SIGHUP: ("hangup", N_("Its session was closed (SIGHUP)."), N_("Resume it.")),
    signal.SIGSEGV: (
        "crash",
        N_("It crashed in native code (segmentation fault)."),
        N_("Resume once; if it comes again, update torch and the GPU driver, and look at the end of trainer.log."),
    ),
    signal.SIGBUS: (
        "crash.bus",
        N_("It crashed on a memory or file access (bus error): a file was cut short, or the disk or /dev/shm is full."),
        N_("Check the disk's free space and /dev/shm, then resume."),
    ),
    signal.SIGABRT: (
        "crash.abort",
        N_("It gave up in native code (abort)."),
        N_("Look at the last lines of trainer.log; resume once."),
    ),
    signal.SIGILL: (
        "crash.cpu",
        N_("It used an instruction that this processor does not have."),
        N_("Install a torch build for this processor."),
    ),
    signal.SIGFPE: ("crash.arithmetic", N_("It crashed in native arithmetic."), N_("Resume once.")),
    signal.SIGXCPU: ("limit.time", N_("It used up its limit of processor time."), N_("Raise the limit, then resume.")),
    signal.SIGXFSZ: ("limit.file", N_("It reached a limit on file size."), N_("Raise the limit, then resume.")),
}


def explain(death: Death) -> Explanation:
    """The likely cause of an end and its remedy. Never raises; the least it says is the log's last line."""
    number = death.signal
    if number is None and death.exit_status is not None and 128 < death.exit_status < 160:
        number = death.exit_status - 128  # a shell between us and the process says it this way
    ending = _ending(death.log)
    if number == signal.SIGKILL:
        return _killed(death)
    missing = _missing_module(ending)
    if missing is not None:
        return missing
    for sign in _SIGNS:
        if sign.pattern.search(ending):
            return Explanation(sign.code, _with_last_line(_(sign.message), ending), _(sign.advice))
    if number == signal.SIGTERM and death.trained is False:
        message = _("It was asked to end (SIGTERM) before its first step: nothing is lost.")
        return Explanation("terminated", message, _("Resume it."))
    if number is not None:
        return _signalled(number)
    if death.disk_free is not None and death.disk_free < 1 << 20:
        return Explanation("disk.full", _("The disk is full."), _("Make room, then resume."))
    if _is_cut_off(ending):
        message = _("Its last words in trainer.log are cut off: the disk was probably full.")
        return Explanation("disk.full", message, _("Make room, then resume."))
    return _unknown(death, ending)


def read_tail(path: Path, start: int = 0) -> str:
    """The end of a log from byte ``start`` on, at most :data:`TAIL` bytes; empty when there is none."""
    try:
        with open_file(path) as file:
            size = file.seek(0, 2)
            file.seek(max(size - TAIL, start if start <= size else 0))
            return file.read(TAIL).decode("utf-8", "replace")
    except OSError:
        return ""


def last_lines(text: str, count: int = 20) -> list[str]:
    """The last lines of a log that say something; a progress bar that redraws itself counts as its last state."""
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in lines if line.strip()][-count:]


def _ending(log: str) -> str:
    """What belongs to the death: the last traceback if it is near the end, else the last lines.

    A message from earlier in the run, such as memory that ran out and was recovered from, must not count.
    """
    lines = last_lines(log, 200)
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].startswith(("Traceback (most recent call last)", "Fatal Python error")):
            return "\n".join(lines[index:])
    return "\n".join(lines[-12:])


def _last_line(ending: str) -> str:
    """The line of a traceback that names the exception, else the last line that is no warning of the trainer's own."""
    lines = [line for line in ending.split("\n") if not line.startswith(_warnings())] if ending else []
    if lines and lines[0].startswith("Traceback"):
        named = [line for line in lines[1:] if re.match(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b", line)]
        if named:
            return plain(named[-1], limit=400)
    return plain(lines[-1], limit=400) if lines else ""


def _is_cut_off(ending: str) -> bool:
    """Whether a traceback ends before the line that names the exception; those before it are indented."""
    first, *rest = ending.split("\n")
    return first.startswith("Traceback") and all(line.startswith(" ") for line in rest)


def _warnings() -> tuple[str, ...]:
    """How the trainer begins a line that only warns, in the language of today and in English."""
    return ("warning:", _("warning:"))


def _with_last_line(message: str, ending: str) -> str:
    line = _last_line(ending)
    return f"{message} {line}" if line else message


def _killed(death: Death) -> Explanation:
    if death.oom_kills > 0:
        return Explanation(
            "killed.memory",
            _("The kernel killed it because the machine's memory (not the GPU's) ran out."),
            _("Close other programs, lower the batch size, use fewer workers, or take more memory; then resume."),
        )
    if death.ram_free is not None and death.ram_free < 0.05:
        return Explanation(
            "killed.memory",
            _("It was killed (SIGKILL) while only {share} of memory was free: probably by the kernel.").format(
                share=f"{death.ram_free:.0%}"
            ),
            _("Close other programs, lower the batch size, or take more memory; then resume."),
        )
    return Explanation(
        "killed",
        _("It was killed (SIGKILL) by a person, a batch system or the container's end."),
        _("Resume it: it goes on from its last state."),
    )


def _signalled(number: int) -> Explanation:
    if number in _SIGNALS:
        code, message, advice = _SIGNALS[number]
        return Explanation(code, _(message), _(advice))
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = str(number)
    return Explanation("signal", _("It was ended by signal {name}.").format(name=name), _("Resume it."))


def _missing_module(ending: str) -> Explanation | None:
    found = re.findall(r"(?:ModuleNotFoundError|ImportError): No module named '([\w.]+)'", ending)
    if not found:
        return None
    name = found[-1]
    if name.partition(".")[0] in TRAIN_PARTS:
        return Explanation(
            "missing.train",
            _("The training parts are not installed: {name} is missing.").format(name=name),
            _("Install them: {command}").format(command='pip install "lora-tui[train]"'),
        )
    return Explanation(
        "missing.module",
        _("A Python package is missing: {name}.").format(name=name),
        _("Install it: {command}").format(command=f"pip install {name.partition('.')[0]}"),
    )


def _unknown(death: Death, ending: str) -> Explanation:
    line = _last_line(ending)
    if line.startswith("KeyboardInterrupt"):
        return _signalled(signal.SIGINT)
    if line:
        return Explanation("error", line, _("The whole message is at the end of trainer.log."))
    if death.exit_status:
        message = _("It ended with exit status {status} and wrote nothing.").format(status=death.exit_status)
    elif death.exit_status == 0:
        message = _("It ended without saying that it was done.")
    else:
        message = _("It ended and left no word: the machine was switched off, or the process killed.")
    return Explanation("ended", message, _("Resume it: it goes on from its last state."))
