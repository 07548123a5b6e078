"""One prediction of diffusers' Z-Image transformer for a whole batch at once.

diffusers' own ``forward`` takes lists of images and of texts, and asks how long each text is; here lengths stay on the
device, as a mask, so that a training step never waits for it. Block for block the computation is diffusers'
(``transformer_z_image.py``): tokens of the image first, those of the text behind them, both filled up to multiples of
32 by tokens of their own; the text's places count from 1, and the image's first axis goes on behind them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.families.zimage.counting import filled
from lora_tui.families.zimage.shape import MULTIPLE, PATCH

KEY = f"{PATCH}-1"
"""What diffusers calls layers for patches of this side in a single frame."""


def told(network: Any, noisy: Tensor, times: Tensor, text: Tensor, own: Tensor | None) -> Tensor:
    """What ``network`` says of ``noisy`` ([batch, channels, height, width]): data less noise, in the same shape.

    Args:
        times: [batch], 0 for noise and 1 for data.
        text: [batch, tokens, width].
        own: which of the tokens are a text's own ([batch, tokens], bool); all of them where nothing is said.
    """
    batch, _channels, height, width = noisy.shape
    rows, columns = height // PATCH, width // PATCH
    count, positions = rows * columns, filled(text.shape[1])
    time = network.t_embedder(times * network.t_scale).type_as(noisy)
    mask, lengths = None, torch.full((batch,), positions, device=noisy.device)
    if own is not None:
        own = nn.functional.pad(own, (0, positions - own.shape[1]))
        lengths = (own.sum(dim=1) + MULTIPLE - 1) // MULTIPLE * MULTIPLE
        mask = torch.arange(positions, device=noisy.device) < lengths[:, None]

    image = _longer(network.all_x_embedder[KEY](patched(noisy)), filled(count))
    image[:, count:] = network.x_pad_token.to(image)
    image_turns = _turns(network, _image_places(rows, columns, lengths))
    for block in network.noise_refiner:
        image = block(image, None, image_turns, time)

    words = _longer(network.cap_embedder(text.to(noisy)), positions)
    if own is None:
        words[:, text.shape[1] :] = network.cap_pad_token.to(words)
    else:
        words = torch.where(own[..., None], words, network.cap_pad_token.to(words))
    word_turns = _turns(network, _word_places(batch, positions, noisy.device))
    for block in network.context_refiner:
        words = block(words, mask, word_turns)

    both, turns = torch.cat([image, words], dim=1), torch.cat([image_turns, word_turns], dim=1)
    if mask is not None:
        mask = torch.cat([mask.new_ones(batch, filled(count)), mask], dim=1)
    again = torch.is_grad_enabled() and network.gradient_checkpointing
    for block in network.layers:  # blocks before these keep nothing: nothing that learns lies before them
        given = (both, mask, turns, time)
        both = network._gradient_checkpointing_func(block, *given) if again else block(*given)
    found: Tensor = network.all_final_layer[KEY](both, c=time)
    return unpatched(found[:, :count], height, width)


def patched(latents: Tensor) -> Tensor:
    """[batch, channels, height, width] as tokens of 2 x 2 cells, channels last: [batch, tokens, 4 * channels]."""
    batch, channels, height, width = latents.shape
    cells = latents.view(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return cells.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, PATCH**2 * channels)


def unpatched(tokens: Tensor, height: int, width: int) -> Tensor:
    """What :func:`patched` did, undone, for latents of ``height`` x ``width`` cells."""
    batch, _count, values = tokens.shape
    cells = tokens.reshape(batch, height // PATCH, width // PATCH, PATCH, PATCH, values // PATCH**2)
    return cells.permute(0, 5, 1, 3, 2, 4).reshape(batch, -1, height, width)


def _longer(tokens: Tensor, count: int) -> Tensor:
    return nn.functional.pad(tokens, (0, 0, 0, count - tokens.shape[1]))


def _word_places(batch: int, positions: int, device: torch.device) -> Tensor:
    """[batch, positions, 3]"""
    places = torch.zeros(batch, positions, 3, dtype=torch.long, device=device)
    places[..., 0] = torch.arange(1, positions + 1, device=device)
    return places


def _image_places(rows: int, columns: int, lengths: Tensor) -> Tensor:
    """[batch, tokens, 3]; those that fill the image up stand at 0."""
    count, device = rows * columns, lengths.device
    places = torch.zeros(len(lengths), filled(count), 3, dtype=torch.long, device=device)
    places[:, :count, 0] = lengths[:, None] + 1
    places[:, :count, 1] = torch.arange(rows, device=device).repeat_interleave(columns)
    places[:, :count, 2] = torch.arange(columns, device=device).repeat(rows)
    return places


def _turns(network: Any, places: Tensor) -> Tensor:
    """By how much heads turn at these places: [batch, tokens, half a head], complex."""
    found: Tensor = network.rope_embedder(places.flatten(0, 1))
    return found.view(*places.shape[:2], -1)
