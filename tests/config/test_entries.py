"""Settings of folders of their own: what they say holds for them, what they do not say is general."""

from dataclasses import replace
from pathlib import Path

import pytest
from config_samples import config_with, image, plan_of, scan_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lora_tui.captions.as_trained import rules_for, words_for
from lora_tui.config.entries import dataset_at, settings_of
from lora_tui.config.plan import arithmetic_text
from lora_tui.config.schema import DatasetEntry
from lora_tui.config.validate import check_config
from lora_tui.dataset.batches import Item
from lora_tui.dataset.scan import DatasetImage, scan_datasets

OWN = {
    "resolution": 1024,
    "batch_size": 1,
    "flip": "on",
    "extensions": [".wd14.txt"],
    "shuffle": "off",
    "keep_tokens": 0,
    "dropout": 0.5,
    "prefix": "photo,",
    "suffix": ", end",
    "tag_dropout": 0.25,
    "missing": "a {folder}",
    "weight": 0.5,
}


def of(dataset: int, number: int, **facts: int) -> DatasetImage:
    return replace(image(number, **facts), dataset=dataset)


def test_what_a_folder_says_holds_for_it_alone():
    config = config_with(
        datasets=[{"path": "/a"}, {"path": "/b", **OWN}],
        captions={"shuffle": True, "keep_tokens": 2, "dropout": 0.1, "prefix": "x,"},
        data={"bucket_min": 256, "bucket_max": 768},
    )
    general, own = settings_of(config, 0), settings_of(config, 1)
    assert (general.data, general.captions, general.batch_size) == (config.data, config.captions, 2)
    assert (own.data.resolution, own.data.bucket_min, own.data.bucket_max, own.data.flip) == (1024, 512, 1536, True)
    assert own.batch_size == 1
    assert own.captions.extensions == [".wd14.txt"]
    rules = rules_for(config, 1)
    assert (rules.shuffle, rules.keep_tokens, rules.dropout) == (False, 0, 0.5)
    assert (rules.prefix, rules.suffix) == ("photo,", ", end")
    assert (rules.tag_dropout, rules.missing, own.weight) == (0.25, "a {folder}", 0.5)
    assert rules_for(config, 0) == rules_for(config)


def test_a_folder_that_is_not_in_use_is_left_out(tmp_path: Path):
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (64, 64)).save(tmp_path / name / "x.png")
    config = config_with(
        datasets=[
            {"path": str(tmp_path / "a"), "regularisation": True, "use": False, "weight": 0.0},
            {"path": str(tmp_path / "b")},
            {"path": str(tmp_path / "gone"), "use": False},
        ]
    )
    assert [image.uid for image in scan_datasets(config).images] == ["1/x.png"]
    found = check_config(config, scan=scan_datasets(config))
    assert not {finding.field for finding in found if finding.field.startswith("datasets.")}
    config.datasets[1].use = False
    assert "datasets.none_in_use" in {finding.code for finding in check_config(config)}


def test_a_folder_that_is_varied_gives_general_settings_an_effect():
    config = config_with(captions={"keep_tokens": 1, "variants": 8}, network={"text_encoder": False})
    fields = ("captions.keep_tokens", "captions.variants")

    def idle() -> set[str]:
        found = (finding.field for finding in check_config(config) if finding.code == "config.no_effect")
        return {field for field in found if field in fields}

    assert idle() == set(fields)
    config.datasets = [DatasetEntry(path="/a", shuffle="on")]
    assert idle() == set()
    config.datasets = [DatasetEntry(path="/a", tag_dropout=0.2)]
    assert idle() == set()


def test_images_without_a_caption_take_the_words_of_their_folder_as_in_sd_scripts():
    """Its class_tokens are what stands behind the first _ of N_name."""
    assert words_for("10_sks girl", "{folder}") == "sks girl"
    assert words_for("10_a_b", "photo of {folder}") == "photo of a_b"
    assert words_for("girls", "{folder}") == "girls"
    assert words_for("10_", "{folder}") == words_for("10_x", "") == ""
    config = config_with(
        datasets=[{"path": "/a"}, {"path": "/b", "regularisation": True}, {"path": "/c", "missing": "a cat"}],
        captions={"missing": "hatgirl"},
    )
    assert [rules_for(config, number).missing for number in range(3)] == ["hatgirl", "", "a cat"]
    config.captions.missing = "{folder}"
    assert rules_for(config, 1).missing == "{folder}"
    bare = scan_of(*(replace(of(number, number), caption_path=None) for number in range(3)))
    found = [finding.message for finding in check_config(config, scan=bare) if finding.code == "captions.words"]
    assert found == ["3 images have no caption and are trained with the words for them."]


def test_the_loss_of_a_folder_counts_what_it_is_told_to():
    config = config_with(
        datasets=[{"path": "/a", "weight": 2.0}, {"path": "/b", "weight": 0.5, "regularisation": True}, {"path": "/c"}],
        data={"prior_loss_weight": 0.5},
    )
    plan = plan_of(config, scan_of(*(of(number, number) for number in range(3))))
    assert [plan.entry(planned).weight for planned in plan.train] == [2.0, 0.25, 1.0]
    config.datasets[2].weight = 0.0
    assert "datasets.no_weight" in {finding.code for finding in check_config(config)}
    config.datasets[0].weight = 0.0
    assert "datasets.no_weights" not in {finding.code for finding in check_config(config)}  # those of the class count
    config.data.prior_loss_weight = 0.0
    found = {finding.code: finding for finding in check_config(config)}
    assert (found["datasets.no_weights"].severity, found["datasets.no_weights"].field) == ("error", "datasets.0.weight")


def test_every_image_is_shown_at_each_resolution_with_draws_of_its_own():
    config = config_with(
        datasets=[{"path": "/a", "repeats": 2}, {"path": "/b", "resolution": 768}],
        data={"more_resolutions": ["768", "1024", "768"], "bucket_max": 1024},
        steps={"batch_size": 1, "epochs": 1},
        validation={"mode": "on", "share": 0.2},
    )
    images = [replace(of(number // 5, number, width=2000, height=1500), repeats=2) for number in range(10)]
    plan = plan_of(config, scan_of(*images))
    assert len(plan.pictures) == 8 and len(plan.validation) == 2
    assert {planned.level for planned in plan.validation} == {0}
    sizes = {0: [512, 768, 1024], 1: [768]}
    for dataset, wanted in sizes.items():
        [one, *_others] = [planned.image.uid for planned in plan.pictures if planned.image.dataset == dataset]
        fits = [planned.fit.bucket for planned in plan.train if planned.image.uid == one]
        assert len(fits) == len(wanted)
        areas = [size.width * size.height / side**2 for size, side in zip(fits, wanted, strict=True)]
        assert all(0.8 <= area <= 1 for area in areas)
    shown = [(plan.train[item.index].image.uid, item.repeat) for batch in plan.epoch(0) for item in batch.items]
    assert len(set(shown)) == len(shown) == plan.items_per_epoch == plan.batches_per_epoch
    assert f"8 images (2 held out) at up to 3 resolutions = {len(shown)}" in arithmetic_text(plan)


def test_a_small_image_that_is_not_enlarged_is_shown_once():
    config = config_with(data={"more_resolutions": ["1024"], "upscale": False}, validation={"mode": "off"})
    plan = plan_of(config, scan_of(image(1, width=400, height=300), image(2, width=2000, height=1500)))
    assert [(planned.image.relative, planned.level) for planned in plan.train] == [
        (image(1).relative, 0), (image(2).relative, 0), (image(2).relative, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("sizes", [["large"], ["20"], ["-768"], ["512"]])
def test_further_resolutions_that_are_none_are_named(sizes: list[str]):
    found = check_config(config_with(data={"more_resolutions": sizes}))
    assert "data.more_resolutions" in {finding.field for finding in found}


def test_images_of_one_size_share_batches_unless_their_folders_have_other_batch_sizes():
    config = config_with(
        datasets=[{"path": "/a"}, {"path": "/b", "flip": "on"}, {"path": "/c", "batch_size": 3}],
        steps={"batch_size": 2, "epochs": 1},
        validation={"mode": "off"},
    )
    images = [of(dataset, 10 * dataset + number) for dataset in range(3) for number in range(3)]
    plan = plan_of(config, scan_of(*images))
    batches = plan.epoch(0)
    assert sorted(len(batch.items) for batch in batches) == [2, 2, 2, 3]
    datasets = [{plan.train[item.index].image.dataset for item in batch.items} for batch in batches]
    assert {2} in datasets and all(found <= {0, 1} or found == {2} for found in datasets)
    assert [batch.place for batch in batches] == [0, 1, 2, 3]
    assert plan.batches_per_epoch == plan.total_steps == 4
    mirrored = {n for n in range(9) if any(plan.flipped(epoch, Item(n, 0)) for epoch in range(20))}
    assert mirrored == {3, 4, 5}
    assert "4 batches of 2 to 3" in arithmetic_text(plan)


def balanced_one_by_one(subject: int, repeats: list[int]) -> list[int]:
    """sd-scripts' loop: each image once with its own repeats, then one more of each in turn, until there are enough."""
    found, shown, first = [0] * len(repeats), 0, True
    while shown < subject:
        for number, own in enumerate(repeats):
            more = own if first else 1
            found[number] += more
            shown += more
            if shown >= subject:
                break
        first = False
    return [number for number in found if number]


@given(st.integers(1, 30), st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_the_class_is_shown_as_often_as_the_subject(subject, repeats):
    config = config_with(
        datasets=[{"path": "/a"}, {"path": "/b", "regularisation": True}],
        validation={"mode": "off"},
        data={"prior_loss_weight": 0.5},
    )
    images = [of(0, number) for number in range(subject)]
    images += [of(1, 100 + number, repeats=own) for number, own in enumerate(repeats)]
    plan = plan_of(config, scan_of(*images))
    assert [planned.image.repeats for planned in plan.of_class] == balanced_one_by_one(subject, repeats)
    assert {plan.entry(planned).weight for planned in plan.of_class} == {0.5}
    assert {plan.entry(planned).weight for planned in plan.train[:subject]} == {1.0}


def test_the_class_is_never_held_out_and_stands_in_the_arithmetic():
    config = config_with(
        datasets=[{"path": "/a"}, {"path": "/b", "regularisation": True}],
        validation={"mode": "on", "share": 0.5},
        captions={"prefix": "hatgirl,"},
    )
    images = [of(dataset, 100 * dataset + number) for dataset in range(2) for number in range(10)]
    plan = plan_of(config, scan_of(*images))
    assert {planned.image.dataset for planned in plan.validation} == {0}
    assert len(plan.of_class) == len(plan.train) - len(plan.of_class) == 5
    assert arithmetic_text(plan).startswith("5 images (5 held out) + 5 for regularisation -> 5 batches of 2")
    assert (rules_for(config, 0).prefix, rules_for(config, 1).prefix) == ("hatgirl,", "")


def test_the_same_folder_at_two_sizes_is_trained_at_both(tmp_path):
    def codes(resolution):
        folders = [{"path": str(tmp_path)}, {"path": str(tmp_path), "resolution": resolution}]
        return {finding.code for finding in check_config(config_with(datasets=folders))}

    assert "datasets.twice" in codes(512)
    assert "datasets.twice" not in codes(768)
    config = config_with(datasets=[{"path": "/a"}, {"path": "/a", "resolution": 256}], validation={"mode": "off"})
    plan = plan_of(config, scan_of(of(0, 1, width=900, height=600), of(1, 1, width=900, height=600)))
    assert [str(one.fit.bucket) for one in plan.train] == ["640x384", "320x192"]


def test_each_size_of_two_is_held_out_with_the_other():
    config = config_with(
        datasets=[{"path": "/a"}, {"path": "/a", "resolution": 256}],
        validation={"mode": "on", "share": 0.2},
    )
    images = [of(dataset, number) for dataset in range(2) for number in range(10)]
    from lora_tui.dataset.batches import make_plan

    plan = make_plan(config, scan_of(*images), groups={one.uid: int(one.path.stem) for one in images})
    held = [one.image for one in plan.validation]
    assert len(held) == 4
    assert {one.relative for one in held if one.dataset} == {one.relative for one in held if not one.dataset}


@pytest.mark.parametrize(
    ("own", "code", "field"),
    [
        ({"resolution": 32}, "datasets.resolution", "datasets.0.resolution"),
        ({"resolution": 2048}, "data.resolution_far", "datasets.0.resolution"),
        ({"regularisation": True}, "datasets.only_regularisation", "datasets.0.regularisation"),
        ({"keep_tokens": 1}, "config.no_effect", "datasets.0.keep_tokens"),
    ],
)
def test_each_mistake_is_named_with_its_field(tmp_path, own, code, field):
    found = check_config(config_with(datasets=[{"path": str(tmp_path), **own}], data={"bucket_max": 2048}))
    assert [finding.field for finding in found if finding.code == code] == [field]


def test_a_folder_is_found_by_its_path():
    config = config_with(datasets=[{"path": "/a"}, {"path": "/b", "shuffle": "on"}, {"path": "/b"}])
    assert (dataset_at(config, "/b"), dataset_at(config, "/c")) == (1, -1)
    assert settings_of(config, -1).captions == config.captions
