"""What the metadata of a LoRA file tell of how it came about: trigger words, tags, settings, dataset, base model.

The keys are those of sd-scripts (``ss_``), ModelSpec 1.0.1 and sd-webui-additional-networks (``ssmd_``). Metadata are
somebody else's text: each reader here takes what it understands and passes over the rest.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_tui.text.translate import N_

Metadata = Mapping[str, str]
NOTHING = ("", "None", "null")
_TRIGGERS = ("modelspec.trigger_phrase", "ss_trigger_words", "trigger_words", "trigger_word", "activation text")
#: Settings of a training that a person asks for, in the order of asking, and what we call them.
TRAINING = (
    ("ss_network_module", N_("network")),
    ("ss_network_dim", N_("rank")),
    ("ss_network_alpha", N_("alpha")),
    ("ss_network_args", N_("network arguments")),
    ("ss_network_dropout", N_("dropout")),
    ("ss_steps", N_("steps")),
    ("ss_max_train_steps", N_("steps asked for")),
    ("ss_epoch", N_("epochs")),
    ("ss_num_epochs", N_("epochs asked for")),
    ("ss_total_batch_size", N_("batch")),
    ("ss_batch_size_per_device", N_("batch of a device")),
    ("ss_gradient_accumulation_steps", N_("batches in a step")),
    ("ss_learning_rate", N_("learning rate")),
    ("ss_unet_lr", N_("learning rate of the image model")),
    ("ss_text_encoder_lr", N_("learning rate of the text encoder")),
    ("ss_lr_scheduler", N_("schedule")),
    ("ss_lr_warmup_steps", N_("warm-up steps")),
    ("ss_optimizer", N_("optimizer")),
    ("ss_mixed_precision", N_("precision")),
    ("ss_resolution", N_("resolution")),
    ("ss_clip_skip", N_("clip skip")),
    ("ss_min_snr_gamma", N_("min-SNR gamma")),
    ("ss_noise_offset", N_("noise offset")),
    ("ss_multires_noise_iterations", N_("pyramid noise")),
    ("ss_loss_type", N_("loss")),
    ("ss_timestep_sampling", N_("timesteps")),
    ("ss_seed", N_("seed")),
    ("ss_training_started_at", N_("begun")),
    ("ss_training_finished_at", N_("finished")),
)
_DATASET = (
    ("ss_num_train_images", N_("images with repeats")),
    ("ss_num_reg_images", N_("regularisation images")),
    ("ss_num_batches_per_epoch", N_("batches in an epoch")),
    ("ss_caption_dropout_rate", N_("caption dropout")),
    ("ss_shuffle_caption", N_("captions shuffled")),
    ("ss_keep_tokens", N_("tags kept in front")),
    ("ss_flip_aug", N_("mirrored")),
    ("ss_dataset_source", N_("source")),
    ("modelspec.license", N_("licence")),
)


@dataclass(frozen=True)
class BaseModel:
    """What it was trained on: a name, its family in the words of who wrote it, and hashes (sd-scripts' of 8 digits,
    sha256)."""

    name: str = ""
    version: str = ""
    legacy_hash: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Folder:
    """A folder of images that it was trained on."""

    name: str
    images: int
    repeats: int


def told(metadata: Metadata, key: str) -> str:
    """What stands at ``key``; empty where that is nothing, or one of the words for nothing."""
    value = metadata.get(key, "").strip()
    return "" if value in NOTHING else value


def parsed(metadata: Metadata, key: str) -> Any:
    """The JSON at ``key``; none where there is none."""
    text = metadata.get(key, "")
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def triggers_of(metadata: Metadata) -> tuple[str, ...]:
    """The words that call up what was learned, as the file states them."""
    return tuple(dict.fromkeys(value for key in _TRIGGERS if (value := told(metadata, key))))


def tags_of(metadata: Metadata) -> list[tuple[str, int]]:
    """The tags of the training set with the number of captions that have each, the commonest first.

    From ``ss_tag_frequency``: folder -> tag -> count; ai-toolkit and others write tag -> count.
    """
    folders = parsed(metadata, "ss_tag_frequency")
    totals: Counter[str] = Counter()
    for name, tags in folders.items() if isinstance(folders, dict) else ():
        for tag, number in tags.items() if isinstance(tags, dict) else ((name, tags),):
            if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 1 << 53:
                totals[tag.strip()] += number
    totals.pop("", None)
    return totals.most_common()


def base_of(metadata: Metadata) -> BaseModel:
    """The base model, as far as the file says."""
    version = told(metadata, "ss_base_model_version") or told(metadata, "modelspec.architecture")
    return BaseModel(
        told(metadata, "ss_sd_model_name") or told(metadata, "ss_base_model_name"),
        version.removesuffix("/lora"),
        told(metadata, "ss_sd_model_hash"),
        told(metadata, "ss_new_sd_model_hash"),
    )


def training_of(metadata: Metadata) -> dict[str, str]:
    """Settings of the training by their keys, in the order of :data:`TRAINING`."""
    return {key: value for key, _title in TRAINING if (value := told(metadata, key))}


def folders_of(metadata: Metadata) -> tuple[Folder, ...]:
    """The folders of the dataset, from ``ss_dataset_dirs`` or, of newer files, from ``ss_datasets``."""
    found = []
    listed = parsed(metadata, "ss_dataset_dirs")
    for name, about in listed.items() if isinstance(listed, dict) else ():
        if isinstance(about, dict):
            found.append(Folder(name, _count(about.get("img_count")), _count(about.get("n_repeats"))))
    if found:
        return tuple(found)
    datasets = parsed(metadata, "ss_datasets")
    for dataset in datasets if isinstance(datasets, list) else ():
        subsets = dataset.get("subsets") if isinstance(dataset, dict) else None
        for about in subsets if isinstance(subsets, list) else ():
            if isinstance(about, dict):
                name = about.get("image_dir") or about.get("metadata_file")
                found.append(Folder(str(name or "?"), _count(about.get("img_count")), _count(about.get("num_repeats"))))
    return tuple(found)


def dataset_of(metadata: Metadata) -> dict[str, str]:
    """What is said of the images by its keys, without their folders."""
    return {key: value for key, _title in _DATASET if (value := told(metadata, key))}


TITLES: Mapping[str, str] = dict((*TRAINING, *_DATASET))
"""What we call the keys that :func:`training_of` and :func:`dataset_of` give."""


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else 0
