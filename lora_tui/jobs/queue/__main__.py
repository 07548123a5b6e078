"""``python -m lora_tui.jobs.queue [--detach] [--stay]``: the queue's process, in a session of its own."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from lora_tui.errors import UserError
from lora_tui.jobs.lock import RunLock
from lora_tui.jobs.queue.journal import read_queue, turn
from lora_tui.jobs.queue.process import lock_path, running
from lora_tui.jobs.queue.service import Service
from lora_tui.jobs.telling import Teller
from lora_tui.text.translate import set_language


def main(argv: Sequence[str] | None = None) -> int:
    """Take the queue and work; exit status 2 when another process has it or the folder cannot be written."""
    parser = argparse.ArgumentParser(prog="lora_tui.jobs.queue", allow_abbrev=False)
    parser.add_argument("--detach", action="store_true", help="go on in the background, as nobody's child")
    parser.add_argument("--tell", type=int, default=-1, help="a descriptor to say on, as JSON, that it has begun")
    parser.add_argument("--stay", action="store_true", help="do not end when there is nothing to do")
    args = parser.parse_args(argv)
    if args.detach and os.fork():
        os._exit(0)
    teller = Teller(args.tell)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, lambda _number, _frame: None)  # not SIG_IGN: jobs would inherit that
    set_language()
    try:
        return serve(teller, stay=args.stay)
    except UserError as error:
        teller.failed(str(running() if error.code == "run.locked" else error))
        return 2


def serve(teller: Teller, *, stay: bool) -> int:
    """Work with the lock held; SIGTERM ends it after the look in hand, and what is at work goes on."""
    with RunLock.acquire(lock_path()) as lock:
        if read_queue().stopped:
            with turn() as change:
                change.say(stopped=False)
        service = Service(lock, stay=stay)
        signal.signal(signal.SIGTERM, lambda _number, _frame: service.over.set())
        teller.tell({"pid": os.getpid()})
        service.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
