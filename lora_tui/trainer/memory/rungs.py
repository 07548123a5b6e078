"""The rungs of the ladder: what can be done to need less memory, from what costs least to what costs most.

All of them leave what is learned as it is, within rounding, but for packing the base, which a setting has to allow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from lora_tui.runs.memory_policy import Policy

Place = Literal["loading", "latents", "texts", "training", "sampling", "decoding", "validation", "saving"]
"""Where memory can run out."""

HALF = 0.5
"""The share of blocks that are computed again on the first rung."""


@dataclass(frozen=True)
class Scene:
    """What the rungs of a run depend on besides its policy.

    Attributes:
        batch: images of the largest batch.
        blocks: that can be streamed; 0 where the device has no memory of its own.
        parts_move: whether a part that works on the processor takes no memory of the device.
        encodes: whether the VAE encodes in the step.
        reads_together: whether captions can be encoded several at a time.
        may_pack: whether the base may be packed, which changes what is learned a little.
    """

    batch: int = 1
    blocks: int = 0
    parts_move: bool = False
    encodes: bool = False
    reads_together: bool = False
    may_pack: bool = False


Rung = Callable[[Policy, Scene], Policy | None]
"""The policy one rung further down; none where it changes nothing any more."""


def some_again(policy: Policy, scene: Scene) -> Policy | None:
    """Half of the blocks compute their activations again."""
    return replace(policy, checkpointed=HALF) if policy.checkpointed < HALF else None


def all_again(policy: Policy, scene: Scene) -> Policy | None:
    """All blocks do."""
    return replace(policy, checkpointed=1.0) if policy.checkpointed < 1 else None


def fewer_images(policy: Policy, scene: Scene) -> Policy | None:
    """Half as many images at once; their gradients add up to those of the whole batch."""
    now = min(policy.images or scene.batch, scene.batch)
    return replace(policy, images=-(-now // 2)) if now > 1 else None


def fewer_encoded(policy: Policy, scene: Scene) -> Policy | None:
    """Half as many images encoded together."""
    return replace(policy, encoded=-(-policy.encoded // 2)) if policy.encoded > 1 else None


def fewer_captions(policy: Policy, scene: Scene) -> Policy | None:
    """Half as many captions; by themselves, so that images keep the latents that they have."""
    more = scene.reads_together and policy.captions > 1
    return replace(policy, captions=-(-policy.captions // 2)) if more else None


def apart(policy: Policy, scene: Scene) -> Policy | None:
    """Predictions without gradients for one image at a time."""
    return None if policy.apart else replace(policy, apart=True)


def strips(policy: Policy, scene: Scene) -> Policy | None:
    """Images decoded in strips."""
    return None if policy.tiled else replace(policy, tiled=True)


def vae_aside(policy: Policy, scene: Scene) -> Policy | None:
    """The VAE works on the processor: slowly, in the same precision."""
    return replace(policy, vae_aside=True) if scene.parts_move and not policy.vae_aside else None


def vae_aside_in_step(policy: Policy, scene: Scene) -> Policy | None:
    """The same where it works in the step."""
    return vae_aside(policy, scene) if scene.encodes else None


def text_aside(policy: Policy, scene: Scene) -> Policy | None:
    """Text encoders that do not learn work on the processor."""
    return replace(policy, text_aside=True) if scene.parts_move and not policy.text_aside else None


def half_streamed(policy: Policy, scene: Scene) -> Policy | None:
    """Half of the blocks visit the device in turn. They have to be computed again, as have the others then."""
    half = -(-scene.blocks // 2)
    return replace(policy, streamed=half, checkpointed=1.0) if policy.streamed < half else None


def all_streamed(policy: Policy, scene: Scene) -> Policy | None:
    """All blocks do."""
    more = policy.streamed < scene.blocks
    return replace(policy, streamed=scene.blocks, checkpointed=1.0) if more else None


def eight_bits(policy: Policy, scene: Scene) -> Policy | None:
    """The base in 8 bits."""
    return replace(policy, weights="fp8") if scene.may_pack and policy.weights == "full" else None


def four_bits(policy: Policy, scene: Scene) -> Policy | None:
    """The base in 4 bits, where it is loaded anew: what is in 8 bits already would lose twice."""
    return replace(policy, weights="nf4") if scene.may_pack and policy.weights in ("fp8", "int8") else None


_STREAMED: tuple[Rung, ...] = (half_streamed, all_streamed, eight_bits)
LADDERS: dict[Place, tuple[Rung, ...]] = {
    "loading": (*_STREAMED, four_bits),
    "latents": (fewer_encoded, vae_aside),
    "texts": (fewer_captions, text_aside),
    "training": (some_again, all_again, fewer_images, vae_aside_in_step, *_STREAMED),
    "sampling": (apart, *_STREAMED),
    "decoding": (strips, vae_aside),
    "validation": (apart, vae_aside_in_step, *_STREAMED),
    "saving": (),
}


def next_rung(policy: Policy, place: Place, scene: Scene) -> Policy | None:
    """The policy on the next rung for a shortage at ``place``; none when there is no further one."""
    found = (rung(policy, scene) for rung in LADDERS[place])
    return next((one for one in found if one is not None), None)
