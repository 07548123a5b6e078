"""Weighted captions in the text encoder, against the rule worked out position by position."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families import open_model
from lora_tui.families.text_chunks import CHUNK, chunk_ids, chunk_weights, weighed


def test_weights_move_positions_against_each_other_and_leave_the_mean() -> None:
    states = torch.randn(2, 2 * CHUNK + 2, 5, generator=torch.Generator().manual_seed(1)) - 0.5
    rows = [[1.0] * 80, [1.0] * 76 + [1.5, 0.5, 1.0]]
    found = weighed(states, chunk_weights(rows, 2))
    assert torch.equal(found[0], states[0])
    factors = torch.ones(2 * CHUNK + 2)
    factors[77], factors[78] = 1.5, 0.5  # behind the start come 75 tokens of the first chunk and one of the second
    expected = states[1] * factors[:, None]
    expected *= states[1].mean() / expected.mean()
    assert torch.allclose(found[1], expected, atol=1e-6)


def sd_scripts_chunks(ids: list[int], chunks: int, *, start: int, end: int, pad: int) -> list[list[int]]:
    """train_util's get_input_ids: the tokenizer fills one long row, which is cut into pieces of 75 with ends again.

    Where the padding is no end token (SD2, the second encoder of SDXL), a full piece ends in one, and an empty piece
    begins with one.
    """
    length = 75 * chunks + 2
    row = [start, *ids[: length - 2], end]
    row += [pad] * (length - len(row))
    found = []
    for first in range(1, length - 77 + 2, 75):
        piece = [start, *row[first : first + 75], row[-1]]
        if pad != end:
            if piece[-2] not in (end, pad):
                piece[-1] = end
            if piece[1] == pad:
                piece[1] = end
        found.append(piece)
    return found


@pytest.mark.parametrize("pad", [49407, 0], ids=["SD1.5, CLIP-L", "SD2, CLIP-G"])
@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_chunks_are_those_of_sd_scripts(chunks: int, pad: int) -> None:
    for count in (0, 1, 74, 75, 76, 149, 150, 151, 224, 225, 226, 400):
        ids = [1000 + number for number in range(count)]
        found = chunk_ids([ids], chunks, start=49406, end=49407, pad=pad)[0].tolist()
        assert found == sd_scripts_chunks(ids, chunks, start=49406, end=49407, pad=pad), count


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lora_tui.bench.model import write_model

    folder = write_model(tmp_path_factory.mktemp("model") / "base", seed=2)
    (file,) = (folder / "text_encoder").glob("*.safetensors")
    weights = load_file(file)
    (name,) = (name for name in weights if name.endswith("final_layer_norm.bias"))
    weights[name] += 0.3  # the mean that is kept is not the noise of rounding, as it is where the layer adds nothing
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def test_a_model_reads_weights_only_where_it_is_told_to(base: Path) -> None:
    def told(text: str, *, weighted: bool) -> tuple[torch.Tensor, int]:
        section = CaptionSection(weighted=weighted)
        model = open_model(ModelSection(base=str(base)), section, device=torch.device("cpu"), dtype=torch.float32)
        tokens = model.tokenize([text], model.text_length([text]))
        with torch.no_grad():
            return model.encode_text(tokens)["text"][0], model.token_count(text)

    plain, number = told("blob, disc", weighted=False)
    same, same_number = told("blob, disc", weighted=True)
    assert torch.equal(plain, same)
    heavy, heavy_number = told("blob, (disc:1.4)", weighted=True)
    assert number == same_number == heavy_number
    factors = torch.ones(len(plain))
    factors[number] = 1.4  # the last token, with the start before the first
    expected = plain * factors[:, None]
    assert torch.allclose(heavy, expected * (plain.mean() / expected.mean()), atol=1e-5)
    assert told("blob, (disc:1.4)", weighted=False)[1] > number
