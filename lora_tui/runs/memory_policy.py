"""How a run makes do with its memory, and what is said of it. Knows no torch: screens and commands read it, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from lora_tui.config.estimate import checkpointed_share, storage_of
from lora_tui.config.schema import Config
from lora_tui.families.protocol import Storage
from lora_tui.jobs.events import as_count
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.record import read_record
from lora_tui.text import N_, _, count, ngettext

ENTRY = "memory_policy"
"""Its name in the record of a run."""
ROOM = "room"
"""Where a policy comes from that was reached because there was room, not because memory ran out."""

LATER = frozenset({"encoded", "captions"})
"""What of a policy older records do not have."""

WEIGHTS: Mapping[str, str] = {
    "fp8": N_("the base is packed in 8 bits (fp8)"),
    "int8": N_("the base is packed in 8 bits (int8)"),
    "nf4": N_("the base is packed in 4 bits (nf4)"),
}


@dataclass(frozen=True)
class Policy:
    """What a run does to need less memory; as it is made, it does nothing.

    Attributes:
        checkpointed: share of the blocks whose activations are computed again in the backward pass, 0 to 1.
        encoded: images of one size that are encoded together before the first step.
        captions: captions that are.
        images: at most so many go through the network at once while it learns; 0: a whole batch.
        apart: predictions without gradients (samples, validation) are made for one image at a time.
        tiled: images are decoded in strips.
        vae_aside, text_aside: the VAE, the text encoders work on the processor.
        streamed: blocks that visit the device in turn.
        weights: how the base is kept, see :class:`lora_tui.families.protocol.Storage`.
    """

    checkpointed: float = 0.0
    encoded: int = 1
    captions: int = 1
    images: int = 0
    apart: bool = False
    tiled: bool = False
    vae_aside: bool = False
    text_aside: bool = False
    streamed: int = 0
    weights: str = "full"

    @classmethod
    def of(cls, config: Config) -> Policy:
        """The one that the settings ask for."""
        memory, storage = config.memory, storage_of(config.memory)
        return cls(
            checkpointed=checkpointed_share(memory), encoded=memory.cache_batch, captions=memory.cache_batch,
            streamed=storage.streamed, weights=storage.weights,
        )  # fmt: skip

    @classmethod
    def read(cls, values: object) -> Policy | None:
        """The one that :meth:`as_dict` wrote; none for anything else."""
        kinds = {one.name: type(one.default) for one in fields(cls)}
        if not isinstance(values, Mapping) or {*values} | LATER != {*kinds}:
            return None
        if any(type(value) is not kinds[name] for name, value in values.items() if kinds[name] is not float):
            return None
        return cls(**values) if isinstance(values["checkpointed"], int | float) else None

    def as_dict(self) -> dict[str, Any]:
        """As plain values; what older records lack only where it is not as they have it."""
        plain = asdict(self)
        return {name: value for name, value in plain.items() if name not in LATER or value != getattr(Policy, name)}

    def storage(self, base: Storage) -> Storage:
        """``base`` with what this says of it."""
        return replace(base, weights=self.weights, streamed=self.streamed)  # type: ignore[arg-type]

    def beyond(self, asked: Policy) -> list[str]:
        """What it does that ``asked`` does not, in words, in the order of the ladder."""
        said = []
        if self.checkpointed != asked.checkpointed:
            share = _("all blocks compute their activations again")
            if self.checkpointed < 1:
                share = _("{share} of the blocks compute their activations again")
            if self.checkpointed <= 0:
                share = _("no block computes its activations again")
            said.append(share.format(share=f"{self.checkpointed:.0%}"))
        if self.encoded != asked.encoded:
            text = ngettext("{n} image is encoded at a time", "{n} images are encoded at a time", self.encoded)
            said.append(text.format(n=count(self.encoded)))
        if self.captions != asked.captions:
            text = ngettext("{n} caption is encoded at a time", "{n} captions are encoded at a time", self.captions)
            said.append(text.format(n=count(self.captions)))
        if self.images != asked.images:
            text = ngettext("{n} image at a time", "{n} images at a time", self.images)
            said.append(text.format(n=count(self.images)))
        if self.apart and not asked.apart:
            said.append(_("samples and validation predict for one image at a time"))
        if self.tiled and not asked.tiled:
            said.append(_("images are decoded in strips"))
        if self.vae_aside and not asked.vae_aside:
            said.append(_("the VAE works on the processor"))
        if self.text_aside and not asked.text_aside:
            said.append(_("the text encoders work on the processor"))
        if self.streamed != asked.streamed:
            text = ngettext("{n} block is streamed", "{n} blocks are streamed", self.streamed)
            said.append(text.format(n=count(self.streamed)))
        if self.weights != asked.weights:
            said.append(_(WEIGHTS.get(self.weights, self.weights)))
        return said


@dataclass(frozen=True)
class Reached:
    """What a run's record says of its memory: what was asked for, what it came to, and the step of the last change.

    ``room``: memory never ran out; there was some left.
    """

    asked: Policy
    used: Policy
    step: int
    room: bool = False

    def sentence(self) -> str:
        """What it does beyond what was asked for; empty where that is nothing."""
        said = self.beyond()
        if not said:
            return ""
        text = _("memory ran out; since step {step}: {changes}")
        if self.room:
            text = _("memory left room; since step {step}: {changes}")
        return text.format(step=count(self.step), changes=", ".join(said))

    def beyond(self) -> list[str]:
        """See :meth:`Policy.beyond`."""
        return self.used.beyond(self.asked)


def reached_by(run: RunFolder) -> Reached | None:
    """What the record of ``run`` says of it; none before the run knew."""
    entry = read_record(run).get(ENTRY)
    if not isinstance(entry, Mapping):
        return None
    asked, used = Policy.read(entry.get("asked")), Policy.read(entry.get("used"))
    downs = entry.get("steps_down")
    last = downs[-1] if isinstance(downs, list) and downs and isinstance(downs[-1], Mapping) else {}
    room = last.get("place") == ROOM
    return Reached(asked, used, as_count(last.get("step")), room) if asked and used else None
