"""``python -m lora_tui.families.unpickle OLD NEW``: the tensors of a pickled file as ``.safetensors``.

The pickle is read by torch's weights-only reader, which builds tensors and refuses everything else instead of running
it. What is no tensor (counters of a training, say) is left behind.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.files import sweep_temporaries, written_whole
from lora_tui.places import exists
from lora_tui.text import _, count, ngettext, plain
from lora_tui.text.translate import set_language


def unpickle(old: Path, new: Path) -> int:
    """Write the tensors of ``old`` as ``new``, wholly or not at all; return how many there are.

    Raises:
        UserError: ``old`` holds more than tensors, none, or is torn; ``new`` is there already or is not called
            ``.safetensors``; torch is not installed.
        OSError: a file cannot be read or written.
    """
    _need_torch()
    if new.suffix.lower() != ".safetensors" or exists(new):
        raise UserError(
            _("it is there already, or its name does not end in .safetensors."),
            place=plain(str(new)),
            remedy=_("Name another file to write."),
            code="unpickle.target",
        )
    from lora_tui.families.state_dicts import read_tensors
    from lora_tui.weights.ordered import save_file_ordered

    tensors = read_tensors(old, pickled=True)
    if not tensors:
        raise UserError(_("there are no tensors in it."), place=plain(str(old)), code="unpickle.empty")
    sweep_temporaries(new.parent)
    with written_whole(new, new=True) as temporary:
        save_file_ordered(tensors, temporary, {"format": "pt"})
    return len(tensors)


def main() -> int:
    """Do what the command line says; 2 when the input is wrong."""
    set_language()
    parser = argparse.ArgumentParser(prog="python -m lora_tui.families.unpickle", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args()
    try:
        found = unpickle(options.old, options.new)
    except UserError as error:
        print(f"lora-tui: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"lora-tui: {plain(str(error))}", file=sys.stderr)
        return 1
    told = ngettext("{count} tensor written to {file}.", "{count} tensors written to {file}.", found)
    print(told.format(count=count(found), file=plain(str(options.new))))
    return 0


def _need_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        from lora_tui.doctor.software import install_command

        raise UserError(
            _("Reading a pickle needs torch, which is not installed."),
            remedy=_("Install it with: {command}").format(command=install_command("train")),
            code="unpickle.torch",
        )


if __name__ == "__main__":
    raise SystemExit(main())
