"""A command that only writes its words down in the file ``$QUEUE_LEDGER``, when it begins and when it is done.

One whose last word has a file ``WORD.wait`` in ``$QUEUE_GATES`` waits in between until a file ``WORD`` is there; in
``WORD.sees`` it says which GPUs it sees.
"""

import os
import sys
import time
from pathlib import Path

PAUSE = 0.05


def note(word: str) -> None:
    with Path(os.environ["QUEUE_LEDGER"]).open("ab", buffering=0) as file:
        file.write(" ".join([word, *sys.argv[1:]]).encode() + b"\n")


gate = Path(os.environ["QUEUE_GATES"]) / sys.argv[-1]
note("begun")
Path(f"{gate}.sees").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all") or "none")
time.sleep(PAUSE)
while Path(f"{gate}.wait").exists() and not gate.exists():
    time.sleep(PAUSE)
note("done")
