"""The form of a tagging: which rows there are, what an edit makes of the request, and what is remembered."""

from __future__ import annotations

from pathlib import Path

import pytest
from tagger_builders import make_wd14

from lora_tui.errors import UserError
from lora_tui.tagging.known import kind_of, known_models, remember, remembered
from lora_tui.tagging.request import ModelChoice, Request
from lora_tui.tagging.rules import Thresholds
from lora_tui.tui.tagging_form import Line, TaggingForm, where_words

NUMBERS = {"marked": 0, "shown": 3, "bare": 2, "all": 9}


def form(*models: ModelChoice) -> TaggingForm:
    return TaggingForm(Request(models or (ModelChoice("wd14", "a/b"),)), NUMBERS, "bare")


def line(one: TaggingForm, path: str) -> Line:
    return next(line for line in one.rows() if line.field.path == path)


def paths(one: TaggingForm) -> set[str]:
    return {line.field.path for line in one.rows()}


def test_only_rows_that_mean_something_are_there() -> None:
    tags, server = form(), form(ModelChoice("endpoint", "x"))
    assert "rules.thresholds.general" in paths(tags) and "endpoint.url" not in paths(tags)
    assert "rules.thresholds.general" not in paths(server) and {"endpoint.url", "prose.longest"} <= paths(server)
    assert "combine" not in paths(tags)
    two = form(ModelChoice("wd14", "a/b"), ModelChoice("florence2", "c/d"))
    assert {"combine", "own", "prose.detail"} <= paths(two) and "prose.begin" not in paths(two)
    two.turn(line(two, "combine"), -1)
    assert two.request.combine == "vote" and "votes" in paths(two)


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("rules.thresholds.general", "0,4", 0.4),
        ("rules.thresholds.other", "", None),
        ("rules.undesired", " solo ,*hair,", ("solo", "*hair")),
        ("rules.replace", "long hair = hair; hat =", (("long hair", "hair"), ("hat", ""))),
        ("batch", "4", 4),
        ("trigger", " hatgirl ", "hatgirl"),
    ],
)
def test_what_is_typed(path: str, text: str, value: object) -> None:
    one = form()
    one.set(line(one, path), text)
    found: object = one.request
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value
    one.set(line(one, path), one.text(line(one, path)))  # as it is edited again
    assert found == value


@pytest.mark.parametrize(
    ("path", "text"),
    [("rules.thresholds.general", "high"), ("rules.thresholds.general", "-1"), ("batch", "1.5"), ("device", "gpu"),
     ("rules.replace", "hat"), ("trigger", "a, b")],
)  # fmt: skip
def test_what_cannot_be(path: str, text: str) -> None:
    one = form()
    before = one.request
    with pytest.raises(UserError):
        one.set(line(one, path), text)
    assert one.request == before


def test_images_and_models() -> None:
    one = form()
    assert one.shown(line(one, "which")) == "without a caption: 2 images"
    one.turn(line(one, "which"), 1)
    one.turn(line(one, "which"), 1)
    assert one.which == "shown"  # none is marked
    one.put_model(1, ModelChoice("blip", "c/d"))
    assert [model.kind for model in one.request.models] == ["wd14", "blip"]
    one.put_model(0, None)
    one.put_model(0, None)  # the last one stays
    assert [model.kind for model in one.request.models] == ["blip"]


def test_what_is_remembered_and_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert remembered().models[0].kind == "wd14"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    commit = tmp_path / "hub" / "models--owner--wd-mine" / "snapshots" / "abc"
    make_wd14(commit)
    (commit.parent.parent / "refs").mkdir()
    (commit.parent.parent / "refs" / "main").write_text("abc")
    assert kind_of(commit) == "wd14" and kind_of(tmp_path) is None
    assert (known_models()[0].name, known_models()[0].here) == ("owner/wd-mine", True)
    assert all(not one.here for one in known_models()[1:])
    mine, usual = known_models()[:2]
    assert mine.size == sum(file.stat().st_size for file in commit.iterdir())
    assert where_words(mine).startswith("here, ") and where_words(usual) == "to fetch, about 380 MB"
    assert where_words(None) == "to fetch"
    from dataclasses import replace

    request = Request((ModelChoice("wd14", "owner/wd-mine"),), trigger="hatgirl", again=True)
    request = replace(request, rules=replace(request.rules, thresholds=Thresholds(0.4)))
    remember(request)
    assert remembered() == replace(request, trigger="", again=False)
