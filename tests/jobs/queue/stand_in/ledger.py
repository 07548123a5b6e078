"""A command that only writes its words down in the file ``$QUEUE_LEDGER``, when it begins and when it is done."""

import os
import sys
import time
from pathlib import Path

PAUSE = 0.05


def note(word: str) -> None:
    with Path(os.environ["QUEUE_LEDGER"]).open("ab", buffering=0) as file:
        file.write(" ".join([word, *sys.argv[1:]]).encode() + b"\n")


note("begun")
time.sleep(PAUSE)
note("done")
