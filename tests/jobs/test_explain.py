import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.jobs.explain import TAIL, Death, explain, last_lines, read_tail
from lora_tui.text import set_language

TRACEBACK = """some output
Traceback (most recent call last):
  File "/x/run.py", line 3, in <module>
    train()
  File "/x/step.py", line 9, in train
    loss.backward()
{line}
"""

LINES = {
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 23.6 GiB": "gpu.memory",
    "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`": "gpu.memory",
    "MemoryError": "memory",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory": "memory",
    "OSError: [Errno 12] Cannot allocate memory": "memory",
    "OSError: [Errno 28] No space left on device: '/x/a.safetensors'": "disk.full",
    "OSError: [Errno 122] Disk quota exceeded": "disk.full",
    "OSError: [Errno 30] Read-only file system: '/x'": "disk.readonly",
    "OSError: [Errno 24] Too many open files": "files.many",
    "RuntimeError: Found no NVIDIA driver on your system.": "gpu.driver",
    "RuntimeError: CUDA error: no kernel image is available for execution on the device": "gpu.build",
    "RuntimeError: CUDA error: invalid device ordinal": "gpu.device",
    "RuntimeError: CUDA error: an illegal memory access was encountered": "gpu.lost",
    "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge": "model.damaged",
    "OSError: We couldn't connect to 'https://example.invalid' to load the files": "network",
    "huggingface_hub.errors.GatedRepoError: 401 Client Error.": "hub.refused",
    "PermissionError: [Errno 13] Permission denied: '/x'": "permission",
    "FileNotFoundError: [Errno 2] No such file or directory: '/x/state/.writing-step-00000004'": "files.gone",
    "FileExistsError: [Errno 17] File exists: '/x/state'": "files.gone",
    "NotADirectoryError: [Errno 20] Not a directory: '/x/state/step-00000004'": "files.gone",
    "ModuleNotFoundError: No module named 'torch'": "missing.train",
    "ModuleNotFoundError: No module named 'diffusers.models'": "missing.train",
    "ModuleNotFoundError: No module named 'bitsandbytes'": "missing.module",
    "ValueError: prompt is longer than 77 tokens": "error",
    "KeyboardInterrupt": "interrupted",
}


@pytest.mark.parametrize(("line", "code"), LINES.items(), ids=[*LINES.values()])
def test_the_traceback_at_the_end_of_the_log_names_the_cause(line: str, code: str) -> None:
    told = explain(Death(exit_status=1, log=TRACEBACK.format(line=line)))
    assert told.code == code
    assert told.message and told.advice


def test_a_traceback_that_is_cut_off_was_too_much_for_the_disk() -> None:
    whole = TRACEBACK.format(line="OSError: [Errno 28] No space left on device")
    for kept in (whole.index("OSError"), whole.index("step.py"), whole.index("\n  File")):
        told = explain(Death(log=whole[:kept]))
        assert (told.code, "cut off" in told.message) == ("disk.full", True)
    assert explain(Death(signal=signal.SIGSEGV, log=whole[: whole.index("step.py")])).code == "crash"


def test_the_message_carries_the_last_line_of_the_traceback() -> None:
    told = explain(Death(exit_status=1, log=TRACEBACK.format(line="ValueError: 7 is no rank")))
    assert told.message == "ValueError: 7 is no rank"
    told = explain(Death(exit_status=1, log=TRACEBACK.format(line="RuntimeError: CUDA out of memory. 2 GiB")))
    assert told.message == "The GPU ran out of memory. RuntimeError: CUDA out of memory. 2 GiB"


def test_the_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    log = TRACEBACK.format(line="ModuleNotFoundError: No module named 'peft'")
    told = explain(Death(exit_status=1, log=log))
    assert "peft" in told.message
    assert 'pip install "lora-tui[train]"' in told.advice


def test_words_after_the_exception_do_not_hide_it() -> None:
    log = TRACEBACK.format(line="ValueError: bad rank") + "wandb: closing\nbye\n"
    assert explain(Death(exit_status=1, log=log)).message == "ValueError: bad rank"


def test_a_recovered_error_of_long_ago_is_not_the_cause() -> None:
    log = "warning: CUDA out of memory, stepping down\n" + "step\n" * 50
    assert explain(Death(exit_status=None, signal=signal.SIGSEGV, log=log)).code == "crash"


@pytest.mark.parametrize(
    ("death", "code"),
    [
        (Death(signal=9), "killed"),
        (Death(signal=9, oom_kills=1), "killed.memory"),
        (Death(signal=9, ram_free=0.01), "killed.memory"),
        (Death(signal=9, ram_free=0.5, log="CUDA out of memory"), "killed"),
        (Death(exit_status=137, oom_kills=1), "killed.memory"),
        (Death(exit_status=143), "terminated"),
        (Death(signal=signal.SIGTERM), "terminated"),
        (Death(signal=signal.SIGSEGV), "crash"),
        (Death(signal=signal.SIGBUS, log="DataLoader worker: insufficient shared memory (shm)"), "shared_memory"),
        (Death(signal=signal.SIGILL), "crash.cpu"),
        (Death(signal=64), "signal"),
        (Death(exit_status=1, disk_free=0), "disk.full"),
        (Death(exit_status=3), "ended"),
        (Death(exit_status=0), "ended"),
        (Death(), "ended"),
    ],
)
def test_signals_and_statuses_are_explained(death: Death, code: str) -> None:
    told = explain(death)
    assert told.code == code
    assert told.message


def test_a_progress_bar_counts_as_its_last_state() -> None:
    assert last_lines("loading\r\n 1%\r 2%\r 3%\n\n") == ["loading", " 3%"]


def test_control_characters_of_the_log_are_shown_not_obeyed() -> None:
    told = explain(Death(exit_status=1, log="boom \x1b[31mred\x07\n"))
    assert "\x1b" not in told.message and "\x07" not in told.message


def test_a_warning_is_not_told_as_the_cause() -> None:
    warned = "warning: 1 image has no caption\n"
    told = explain(Death(log=warned))
    assert told.code == "ended" and "caption" not in told.message
    assert explain(Death(exit_status=1, log=f"boom\n{warned}")).message == "boom"


def test_only_the_last_life_and_the_end_of_a_log_are_read(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    log.write_bytes(b"first life\n" + b"second life\n")
    assert read_tail(log, len(b"first life\n")) == "second life\n"
    log.write_bytes(b"x" * (3 * TAIL) + b"end")
    assert len(read_tail(log)) == TAIL and read_tail(log).endswith("end")
    assert read_tail(tmp_path / "none") == ""


def test_a_log_that_was_cut_since_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    log.write_text("short")
    assert read_tail(log, 1000) == "short"


@given(
    st.one_of(st.none(), st.integers(-300, 300)),
    st.one_of(st.none(), st.integers(-5, 300)),
    st.text(),
)
def test_nothing_makes_it_fail(status: int | None, number: int | None, log: str) -> None:
    told = explain(Death(exit_status=status, signal=number, log=log))
    assert told.code and told.message


def test_it_speaks_the_chosen_language_only_where_there_are_words() -> None:
    set_language("zh_CN")
    assert explain(Death(signal=9)).code == "killed"
