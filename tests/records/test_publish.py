"""The best file handed on to where images are made."""

import json
import shlex
from pathlib import Path

import pytest

from lora_tui.errors import UserError
from lora_tui.records.notes import change_notes
from lora_tui.records.publish import parcel_of, publish, scp_line, target_of
from lora_tui.runs.folder import RunFolder


def test_comfyui_gets_file_cover_and_trigger_words(runs: list[RunFolder], tmp_path: Path) -> None:
    (tmp_path / "ComfyUI" / "models" / "loras").mkdir(parents=True)
    parcel = parcel_of(runs[1])
    assert (parcel.step, parcel.why, parcel.trigger) == (50, "validation", "hatgirl")
    made = publish(parcel, target_of(str(tmp_path / "ComfyUI")))
    assert [path.name for path in made] == ["hat.txt", "hat.preview.png", "hat.safetensors"]
    assert made[0].read_text() == "hatgirl\n" and made[2].read_bytes() == parcel.file.read_bytes()
    assert made[1].read_bytes() == (runs[1].samples_dir / "000050-0.png").read_bytes()


def test_a1111_gets_the_words_in_its_own_file(runs: list[RunFolder], tmp_path: Path) -> None:
    change_notes(runs[1], note="soft")
    (tmp_path / "webui" / "models" / "Lora").mkdir(parents=True)
    made = publish(parcel_of(runs[1], trigger="cat"), target_of(str(tmp_path / "webui")))
    card = json.loads(made[0].read_text())
    assert (made[0].name, card["activation text"]) == ("hat.json", "cat") and "soft" in card["notes"]


def test_another_file_of_the_name_is_only_replaced_when_that_is_wanted(runs: list[RunFolder], tmp_path: Path) -> None:
    (tmp_path / "hat.safetensors").write_bytes(b"another")
    target, parcel = target_of(str(tmp_path)), parcel_of(runs[0])
    with pytest.raises(UserError) as refused:
        publish(parcel, target)
    assert refused.value.code == "publish.exists" and (tmp_path / "hat.safetensors").read_bytes() == b"another"
    publish(parcel, target, force=True)
    publish(parcel, target)  # the same once more is no other file
    assert (tmp_path / "hat.safetensors").read_bytes() == parcel.file.read_bytes()


def test_cover_and_words_that_somebody_changed_there_stay_unless_it_is_wanted(
    runs: list[RunFolder], tmp_path: Path
) -> None:
    target, parcel = target_of(str(tmp_path)), parcel_of(runs[1])
    made = publish(parcel, target)
    mine = [path for path in made if path.suffix in (".json", ".txt", ".png")]
    assert len(mine) == 3
    for path in mine:
        path.write_text("mine")
    assert publish(parcel, target) == made and all(path.read_text() == "mine" for path in mine)
    publish(parcel, target, force=True)
    assert not any(path.read_bytes() == b"mine" for path in mine)


def test_for_another_machine_there_is_a_line_of_scp(runs: list[RunFolder]) -> None:
    target = target_of("me@box:/data/my loras")
    made = publish(parcel_of(runs[1]), target)
    words = shlex.split(scp_line(made, target.remote))
    assert (
        words[0] == "scp"
        and words[-1] == "me@box:/data/my loras/"
        and all(Path(word).is_file() for word in words[1:-1])
    )
    assert scp_line(made[:1], "box:").endswith(" box:")


def test_what_cannot_be_published_is_told(runs: list[RunFolder], tmp_path: Path) -> None:
    for place in (tmp_path / "none", tmp_path / "a" / "b:c"):
        with pytest.raises(UserError) as refused:
            target_of(str(place))
        assert refused.value.code == "publish.target"
    for name in ("../x", "a/b", "..", "x" * 300):
        with pytest.raises(UserError) as refused:
            parcel_of(runs[0], name=name)
        assert refused.value.code == "publish.name"
    for file in runs[2].checkpoints_dir.iterdir():
        file.unlink()
    with pytest.raises(UserError, match="no LoRA file"):
        parcel_of(runs[2])
