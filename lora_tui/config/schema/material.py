"""What is trained on: the images."""

from __future__ import annotations

from typing import Literal

from lora_tui.config.option import Rule, option
from lora_tui.config.schema.section import Section
from lora_tui.text.translate import N_

#: px, below which nothing is trained.
LEAST_SIDE = 64
#: px, above which nothing is trained.
MOST_SIDE = 4096
#: What a folder's own switch may say.
OWN = (("general", N_("as all others")), ("on", N_("on")), ("off", N_("off")))


class DatasetEntry(Section):
    """One folder of images."""

    path: str = option(
        "",
        N_("folder"),
        N_("A folder of images with captions beside them; folders named N_name repeat their images N times."),
        path="folder",
        peers=("train_data_dir", "image_dir", "folder_path"),
    )
    repeats: int = option(
        0,
        N_("repeats"),
        N_("How often each image is shown in one epoch. 0 takes the number from a folder named N_name, else 1."),
        ge=0,
        le=10_000,
        peers=("num_repeats",),
    )
    use: bool = option(
        True,
        N_("in use"),
        N_("Off leaves this folder out of the run and keeps its settings."),
        expert=True,
        peers=("enabled",),
    )
    regularisation: bool = option(
        False,
        N_("regularisation"),
        N_(
            "Images of the class, not of the subject: shown beside the others, as many of them as of those, so that "
            "the class stays what it was. They are never held out for validation and take no general prefix or suffix."
        ),
        expert=True,
        peers=("is_reg", "reg_data_dir"),
    )
    resolution: int = option(
        0,
        N_("own resolution"),
        N_(
            "Training size of these images; 0 takes the general one. The same folder in two entries with different "
            "resolutions is trained at both. Limits of buckets' sides grow and shrink with it."
        ),
        unit="px",
        ge=0,
        le=4096,
        expert=True,
        peers=("resolution",),
    )
    batch_size: int = option(
        0,
        N_("own batch size"),
        N_("Images of this folder shown at once; 0 takes the general one. Larger images may want fewer."),
        ge=0,
        le=1024,
        expert=True,
        peers=("batch_size",),
    )
    flip: Literal["general", "on", "off"] = option(
        "general",
        N_("own random flip"),
        N_("Whether these images are mirrored at random, whatever the others are."),
        expert=True,
        labels=OWN,
        peers=("flip_aug",),
    )
    extensions: list[str] = option(
        None,
        N_("own caption files"),
        N_("Endings of the caption files in this folder, in order; none takes the general ones."),
        factory=list,
        expert=True,
        peers=("caption_extension",),
    )
    shuffle: Literal["general", "on", "off"] = option(
        "general",
        N_("own tag shuffle"),
        N_("Whether the tags of these captions are shuffled: off suits sentences among folders of tags."),
        expert=True,
        labels=OWN,
        peers=("shuffle_caption",),
    )
    keep_tokens: int = option(
        -1,
        N_("own first tags"),
        N_("How many tags of these captions stay in front when they are shuffled; -1 takes the general number."),
        ge=-1,
        le=255,
        expert=True,
        peers=("keep_tokens",),
    )
    dropout: float = option(
        -1.0,
        N_("own caption dropout"),
        N_("Share of the time that a caption of this folder is left empty; -1 takes the general one."),
        ge=-1.0,
        le=1.0,
        expert=True,
        peers=("caption_dropout_rate",),
    )
    tag_dropout: float = option(
        -1.0,
        N_("own tag dropout"),
        N_("Share of the tags of these captions left out each time; -1 takes the general one."),
        ge=-1.0,
        le=1.0,
        expert=True,
        peers=("caption_tag_dropout_rate",),
    )
    missing: str = option(
        "",
        N_("own words without a caption"),
        N_(
            "What images of this folder without a caption file are trained with, such as sks girl; {folder} stands "
            "for the words in the folder's name. Empty takes the general text."
        ),
        expert=True,
        peers=("class_tokens",),
    )
    weight: float = option(
        1.0,
        N_("own loss weight"),
        N_("How much the loss of these images counts: 0.5 half as much as that of others, 2 twice."),
        ge=0.0,
        le=100.0,
        expert=True,
        peers=("loss_weight", "loss_multiplier"),
    )
    prefix: str = option(
        "",
        N_("own text in front"),
        N_("Text in front of the captions of this folder in the place of the general one; empty takes that."),
        expert=True,
        peers=("caption_prefix",),
    )
    suffix: str = option(
        "",
        N_("own text behind"),
        N_("Text behind the captions of this folder in the place of the general one; empty takes that."),
        expert=True,
        peers=("caption_suffix",),
    )


class DataSection(Section):
    """Dataset"""

    resolution: int = option(
        512,
        N_("resolution"),
        N_(
            "Training size: the area of a square with this side. SD1.5 learned at 512, SD2 at 512 or 768, "
            "SDXL at 1024; larger needs more memory and time, smaller loses detail."
        ),
        unit="px",
        ge=LEAST_SIDE,
        le=4096,
        peers=("resolution", "max_resolution"),
    )
    more_resolutions: list[str] = option(
        None,
        N_("further resolutions"),
        N_(
            "Train every image at these sizes as well, such as 768, 1024, each of them once more in an epoch: the LoRA "
            "then serves at all of them. Folders with a resolution of their own keep to it."
        ),
        factory=list,
        unit="px",
        expert=True,
        peers=("resolution", "multi_resolution"),
    )
    buckets: bool = option(
        True,
        N_("buckets"),
        N_("Group images by shape so that little is cut away. Off crops every image to a square at its centre."),
        peers=("enable_bucket", "aspect_ratio_bucketing"),
    )
    bucket_min: int = option(
        256,
        N_("smallest side"),
        N_("No bucket has a side below this."),
        unit="px",
        ge=16,
        le=4096,
        expert=True,
        when=Rule(lambda c: c.data.buckets and c.data.upscale, N_("buckets are on and small images are enlarged")),
        peers=("min_bucket_reso",),
    )
    bucket_max: int = option(
        1024,
        N_("largest side"),
        N_("No bucket has a side above this."),
        unit="px",
        ge=64,
        le=8192,
        expert=True,
        when=Rule(lambda c: c.data.buckets and c.data.upscale, N_("buckets are on and small images are enlarged")),
        peers=("max_bucket_reso",),
    )
    bucket_step: Literal[8, 16, 32, 64, 128] = option(
        64,
        N_("bucket step"),
        N_("The sides of buckets are multiples of this. Smaller steps cut less away and make more buckets."),
        unit="px",
        expert=True,
        when=Rule(lambda c: c.data.buckets, N_("buckets are on")),
        peers=("bucket_reso_steps",),
    )
    upscale: bool = option(
        True,
        N_("enlarge small images"),
        N_("Enlarge images below the training size. Off trains them in smaller buckets of their own size."),
        expert=True,
        when=Rule(lambda c: c.data.buckets, N_("buckets are on")),
        peers=("bucket_no_upscale",),
    )
    flip: bool = option(
        False,
        N_("random flip"),
        N_("Mirror images left to right at random. Leave off for anything with a left and a right."),
        peers=("flip_aug",),
    )
    random_crop: bool = option(
        False,
        N_("random crop"),
        N_(
            "Cut out a part anywhere instead of the middle. Buckets leave little to cut away: it does most with "
            "buckets off and images larger than the resolution."
        ),
        expert=True,
        peers=("random_crop",),
    )
    crop: Literal["middle", "subject"] = option(
        "middle",
        N_("what stays"),
        N_(
            "What stays of an image that is cut to its bucket: its middle, or its subject, found by colour, detail, "
            "skin, and faces where a detector is named. It does most with buckets off."
        ),
        labels=(("middle", N_("the middle")), ("subject", N_("the subject"))),
        expert=True,
        when=Rule(lambda c: not c.data.random_crop, N_("there is no random crop")),
        peers=("face_crop", "smart_crop"),
    )
    closeups: float = option(
        0.0,
        N_("close-ups"),
        N_("Share of the showings that show the largest face of an image close, where the detector finds one; 0 none."),
        ge=0.0,
        le=1.0,
        expert=True,
        peers=("face_crop_aug_range",),
    )
    closeup_from: float = option(
        2.0,
        N_("nearest close-up"),
        N_("How many times as large as the face the shorter side of a close-up is at least."),
        ge=1.0,
        le=20.0,
        expert=True,
        when=Rule(lambda c: c.data.closeups > 0, N_("there are close-ups")),
        peers=("face_crop_aug_range",),
    )
    closeup_to: float = option(
        4.0,
        N_("widest close-up"),
        N_("How many times as large as the face it is at most. It is never enlarged, and never beyond the image."),
        ge=1.0,
        le=20.0,
        expert=True,
        when=Rule(lambda c: c.data.closeups > 0, N_("there are close-ups")),
        peers=("face_crop_aug_range",),
    )
    face_detector: str = option(
        "",
        N_("face detector"),
        N_("OpenCV's YuNet, face_detection_yunet_2023mar.onnx, which finds the faces. Empty looks for none."),
        expert=True,
        path="file",
        when=Rule(
            lambda c: c.data.closeups > 0 or (c.data.crop == "subject" and not c.data.random_crop),
            N_("there are close-ups, or the subject stays"),
        ),
    )
    brightness: float = option(
        0.0,
        N_("vary brightness"),
        N_("Make images brighter or darker at random by up to this share. 0.1 is much; 0 is off."),
        ge=0.0,
        le=0.9,
        expert=True,
        peers=("color_aug", "random_brightness"),
    )
    hue: float = option(
        0.0,
        N_("vary hue"),
        N_("Turn colours at random by up to this many degrees of the circle. 10 is visible; leave it off for colours."),
        ge=0.0,
        le=180.0,
        expert=True,
        peers=("color_aug", "random_hue"),
    )
    gamma: float = option(
        0.0,
        N_("vary gamma"),
        N_("Make middle tones lighter or darker at random by an exponent of up to this share more or less than 1."),
        ge=0.0,
        le=2.0,
        expert=True,
        peers=("color_aug",),
    )
    looks: int = option(
        4,
        N_("kept looks"),
        N_(
            "How many looks of each image are kept where latents are cached and images vary by crop or colour. Each is "
            "encoded once; without cached latents every showing has a look of its own."
        ),
        ge=1,
        le=1000,
        expert=True,
        when=Rule(
            lambda c: c.memory.cache_latents and c.data.varied,
            N_("images vary by crop or colour and latents are cached"),
        ),
    )

    @property
    def varied(self) -> bool:
        """Whether an image may look different each time, mirroring aside."""
        return self.random_crop or self.brightness > 0 or self.hue > 0 or self.gamma > 0 or self.closeups > 0

    prior_loss_weight: float = option(
        1.0,
        N_("prior loss weight"),
        N_("How much the loss of regularisation images counts beside that of the others."),
        ge=0.0,
        le=100.0,
        when=Rule(
            lambda c: any(entry.regularisation and entry.use for entry in c.datasets),
            N_("a folder is for regularisation"),
        ),
        peers=("prior_loss_weight",),
    )
