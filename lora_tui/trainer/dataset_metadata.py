"""What a LoRA file's metadata says of the data: sd-scripts' ``ss_*`` keys of datasets, buckets and captions.

A dataset is there what shares resolution and batch size; its subsets are the folders.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lora_tui.captions.as_trained import rules_for, tags_in, words_for
from lora_tui.config.entries import EntrySettings, settings_of
from lora_tui.config.schema import Config, DataSection
from lora_tui.dataset.batches import DataPlan, PlannedImage


def dataset_metadata(config: Config, plan: DataPlan, captions: Mapping[str, str]) -> dict[str, Any]:
    """The entries; ``captions`` are texts by the images' uid."""
    together: defaultdict[tuple[int, int], list[PlannedImage]] = defaultdict(list)
    for planned in plan.train:
        own = settings_of(config, planned.image.dataset)
        together[_data_of(own, planned).resolution, own.batch_size].append(planned)
    images = plan.train
    subject = [planned for planned in images if not plan.entry(planned).regularisation]
    tags = _tag_frequency(config, plan.pictures, captions)
    section, side = config.data, config.data.resolution
    return {
        "ss_datasets": [_dataset(config, images, tags) for images in together.values()],
        "ss_tag_frequency": tags,
        "ss_dataset_dirs": _directories(subject),
        "ss_reg_dataset_dirs": _directories(plan.of_class),
        "ss_bucket_info": _bucket_info(plan.train),
        "ss_num_train_images": _showings(subject),
        "ss_num_reg_images": _showings(plan.of_class),
        "ss_num_validation_images": len(plan.validation),
        "ss_num_batches_per_epoch": math.ceil(plan.batches_per_epoch / config.memory.processes),  # of one process
        "ss_batch_size_per_device": config.steps.batch_size,
        "ss_total_batch_size": config.steps.batch_size * config.steps.gradient_accumulation,
        "ss_resolution": f"({side}, {side})",
        "ss_resize_interpolation": "hamming, lanczos",  # of images made smaller, and of those made larger
        "ss_enable_bucket": section.buckets,
        "ss_min_bucket_reso": section.bucket_min,
        "ss_max_bucket_reso": section.bucket_max,
        "ss_bucket_no_upscale": not section.upscale,
        "ss_flip_aug": section.flip,
        "ss_masked_loss": config.masks.source != "off",
        "ss_color_aug": plan.augmentation.colours,
        "ss_random_crop": plan.augmentation.random_crop,
        "ss_face_crop_aug_range": _closeups(section),
        "ss_shuffle_caption": config.captions.shuffle,
        "ss_keep_tokens": config.captions.keep_tokens,
        "ss_caption_dropout_rate": config.captions.dropout,
        "ss_caption_dropout_every_n_epochs": config.captions.dropout_epochs,
        "ss_caption_tag_dropout_rate": config.captions.tag_dropout,
    }


def _dataset(config: Config, images: Sequence[PlannedImage], tags: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """One dataset of images that share resolution and batch size."""
    own = settings_of(config, images[0].image.dataset)
    folders: dict[tuple[int, str], list[PlannedImage]] = defaultdict(list)
    for planned in images:
        folders[planned.image.dataset, planned.image.path.parent.name].append(planned)
    data = _data_of(own, images[0])
    subject = [one for one in images if not settings_of(config, one.image.dataset).regularisation]
    return {
        "is_dreambooth": True,
        "batch_size_per_device": own.batch_size,
        "num_train_images": _showings(subject),
        "num_reg_images": _showings(images) - _showings(subject),
        "resolution": [data.resolution, data.resolution],
        "enable_bucket": data.buckets,
        "min_bucket_reso": data.bucket_min,
        "max_bucket_reso": data.bucket_max,
        "bucket_no_upscale": not data.upscale,
        "tag_frequency": {folder: tags[folder] for _number, folder in folders},
        "bucket_info": _bucket_info(images),
        "subsets": [
            {**_subset(settings_of(config, number), folder, found), "alpha_mask": config.masks.source == "alpha"}
            for (number, folder), found in folders.items()
        ],
    }


def _data_of(own: EntrySettings, planned: PlannedImage) -> DataSection:
    """What an image was fitted by."""
    return own.further[planned.level - 1] if planned.level else own.data


def _subset(own: EntrySettings, folder: str, images: Sequence[PlannedImage]) -> dict[str, Any]:
    captions = own.captions
    return {
        "img_count": len(images),
        "num_repeats": images[0].image.repeats,
        "color_aug": own.data.brightness > 0 or own.data.hue > 0 or own.data.gamma > 0,
        "flip_aug": own.data.flip,
        "random_crop": own.data.random_crop,
        "face_crop_aug_range": _closeups(own.data),
        "shuffle_caption": captions.shuffle,
        "keep_tokens": captions.keep_tokens,
        "keep_tokens_separator": captions.keep_separator,
        "secondary_separator": captions.secondary_separator,
        "enable_wildcard": captions.wildcards,
        "caption_prefix": captions.prefix or None,
        "caption_suffix": captions.suffix or None,
        "image_dir": folder,
        "class_tokens": words_for(folder, captions.missing) or None,
        "is_reg": own.regularisation,
        "loss_weight": own.weight,
    }


def _closeups(data: DataSection) -> str | None:
    return f"{data.closeup_from:g},{data.closeup_to:g}" if data.closeups > 0 else None


def _showings(images: Iterable[PlannedImage]) -> int:
    return sum(planned.image.repeats for planned in images)


def _tag_frequency(
    config: Config, images: Sequence[PlannedImage], captions: Mapping[str, str]
) -> dict[str, dict[str, int]]:
    """How often each tag stands in the captions of each folder."""
    rules = {planned.image.dataset: rules_for(config, planned.image.dataset) for planned in images}
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for planned in images:
        image = planned.image
        found[image.path.parent.name].update(tags_in(captions.get(image.uid, ""), rules[image.dataset]))
    return {folder: dict(counted) for folder, counted in found.items()}


def _directories(images: Sequence[PlannedImage]) -> dict[str, dict[str, int]]:
    """Repeats and images of each folder."""
    counts = Counter(planned.image.path.parent.name for planned in images)
    repeats = {planned.image.path.parent.name: planned.image.repeats for planned in images}
    return {folder: {"n_repeats": repeats[folder], "img_count": counts[folder]} for folder in counts}


def _bucket_info(images: Sequence[PlannedImage]) -> dict[str, Any]:
    sizes = Counter(planned.fit.bucket for planned in images)
    buckets = {
        str(number): {"resolution": [size.width, size.height], "count": sizes[size]}
        for number, size in enumerate(sorted(sizes))
    }
    return {"buckets": buckets}
