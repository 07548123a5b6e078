"""What captions and scores say that a dataset shows."""

from __future__ import annotations

import pytest

from lora_tui.dataset.coverage import ASPECTS, aspects_of, coverage
from lora_tui.project import PURPOSES


def shown(captions: list[str], **options: object) -> dict[str, dict[str, int]]:
    found = coverage(captions, **options)  # type: ignore[arg-type]
    return {aspect.name: {kind.name: kind.images for kind in aspect.kinds} for aspect in found.aspects}


def test_tags_and_prose_are_understood() -> None:
    counts = shown(["zob, from_behind, full_body, smile", "A photo of zob, seen from the back, smiling at night."])
    assert counts["view"] == {"front": 0, "side": 0, "quarter": 0, "back": 2}
    assert counts["framing"]["full"] == 1
    assert counts["expression"]["smiling"] == 2
    assert counts["light"]["night"] == 1


def test_words_within_other_words_do_not_count() -> None:
    counts = shown(["birthday, nightgown, darkness, unhappy, sundayprofile, grinch, self-portrait-like"])
    assert not any(number for kinds in counts.values() for number in kinds.values())


def test_an_aspect_that_nobody_speaks_of_is_unknown_not_missing() -> None:
    found = coverage(["zob, smile", "zob, from side"], purpose="character")
    assert {aspect.name for aspect in found.unknown} == set(ASPECTS) - {"expression", "view"}
    missing = {(aspect.name, kind.name) for aspect, kind in found.missing}
    assert ("view", "back") in missing and ("view", "side") not in missing
    assert not any(aspect == "light" for aspect, _kind in missing)


def test_a_taggers_scores_speak_where_captions_are_silent() -> None:
    scores = [{"from_behind": 0.9, "smile": 0.2}, {}]
    counts = shown(["zob", "zob"], scores=scores)
    assert counts["view"]["back"] == 1
    assert counts["expression"]["smiling"] == 0


@pytest.mark.parametrize("purpose", [*PURPOSES, "", "nonsense"])
def test_every_purpose_has_aspects(purpose: str) -> None:
    assert set(aspects_of(purpose)) <= set(ASPECTS)
    assert aspects_of(purpose)


def test_an_image_counts_once_for_a_kind() -> None:
    found = coverage(["smile, grin, happy, laughing"], purpose="character")
    (expression,) = [aspect for aspect in found.aspects if aspect.name == "expression"]
    assert {kind.name: kind.images for kind in expression.kinds}["smiling"] == 1
    assert (expression.known, found.images) == (1, 1)


@pytest.mark.parametrize(
    "caption",
    [
        *("1girl, dark hair, indoor_plant", "dark blue dress", "woman in an evening gown", "dark-skinned female"),
        *("cropped jacket", "smile precure", "a girl with dark skin in a cropped jacket"),
    ],
)
def test_a_word_for_a_thing_tells_nothing_of_the_picture(caption: str) -> None:
    assert not any(number for kinds in shown([caption]).values() for number in kinds.values())


@pytest.mark.parametrize(
    ("caption", "aspect", "kind"),
    [
        *(("dark", "light", "night"), ("zob, (light_smile:1.2), hat", "expression", "smiling")),
        *(("holding sword, dark hair", "occlusion", "held"), ("late evening", "light", "low")),
        *(("She walks home in the evening and sings.", "light", "low"), ("close-up shot", "framing", "closeup")),
        *(
            ("a portrait of a woman", "framing", "closeup"),
            ("[[sunset]]", "light", "low"),
            ("zob, :d", "expression", "smiling"),
        ),
    ],
)
def test_what_tags_and_prose_tell_counts(caption: str, aspect: str, kind: str) -> None:
    assert shown([caption])[aspect][kind] == 1


def test_every_word_for_a_kind_is_found_and_its_images_are_named() -> None:
    for aspect, (_title, kinds) in ASPECTS.items():
        for kind, (_name, words) in kinds.items():
            for term in words.split(","):
                found = {one.name: one for one in coverage(["zob", f"zob, {term.strip()}"]).aspects}[aspect]
                assert {one.name: one.members for one in found.kinds}[kind] == (1,), term
