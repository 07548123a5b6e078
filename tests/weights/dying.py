"""Work on LoRA files that dies: ``python dying.py`` does what each line of its input asks for, in a process of its own.

A line is JSON: ``options`` of an operation (or ``metadata`` and ``entries``, an edit), and ``at``, the event on files
before which it kills itself, or ``after``, seconds after which it is killed. Answered is how it ended: its exit
status, the signal below 0; and how many events there were until then, where it lived.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

from lora_tui.errors import UserError
from lora_tui.weights.metadata import Edit, edit_metadata
from lora_tui.weights.operations import bake, blocks, convert, extract, merge, resize  # noqa: F401 - before it forks
from lora_tui.weights.work import work

CHANGES = ("os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate", "tempfile.mkstemp",
           "tempfile.mkdtemp", "fcntl.flock", "shutil.rmtree", "shutil.copyfile")  # fmt: skip


class Silent:
    """A report that nobody hears."""

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None:
        pass

    def warn(self, error: UserError) -> None:
        pass

    def should_stop(self) -> bool:
        return False


class Events:
    """Counts what is done to files, and ends the process before a certain one."""

    def __init__(self, last: int) -> None:
        self.count, self.last = 0, last

    def __call__(self, name: str, values: tuple[Any, ...]) -> None:
        writes = name == "open" and isinstance(values[1], str) and set(values[1]) & set("wax+")
        if name in CHANGES or writes:
            self.count += 1
            if self.count == self.last:
                os.kill(os.getpid(), signal.SIGKILL)


def do(asked: dict[str, Any]) -> None:
    if "metadata" in asked:
        edit_metadata(Path(asked["metadata"]), Edit(asked["entries"]))
    else:
        work(asked["options"], Silent())


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        asked = json.loads(line)
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            events = Events(asked.get("at", 0))
            sys.addaudithook(events)
            try:
                do(asked)
                code = 0
            except UserError as error:
                print(error, file=sys.stderr)
                code = 2
            os.write(tell, str(events.count).encode())
            os._exit(code)
        os.close(tell)
        if "after" in asked:
            time.sleep(asked["after"])
            os.kill(child, signal.SIGKILL)
        _child, status = os.waitpid(child, 0)
        count = int(os.read(told, 20) or b"0")
        os.close(told)
        print(json.dumps([os.waitstatus_to_exitcode(status), count]), flush=True)


if __name__ == "__main__":
    main()
