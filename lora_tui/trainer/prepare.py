"""From the configuration to cached data: scan, plan, captions, then the two caching passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import get_args

from lora_tui.caches.store import ContentStore
from lora_tui.captions.as_trained import (
    CaptionRules,
    longest_caption,
    possible_captions,
    rules_for,
    source_text,
    whole_caption,
    words_for,
)
from lora_tui.captions.files import read_caption
from lora_tui.config.schema import CaptionSection
from lora_tui.dataset.batches import DataPlan, make_plan, validation_count
from lora_tui.dataset.load import content_hash
from lora_tui.dataset.scan import Scan, scan_datasets
from lora_tui.dataset.similar import image_groups
from lora_tui.dataset.subjects import is_sought, with_subjects
from lora_tui.errors import UserError
from lora_tui.families.protocol import Model
from lora_tui.settings import cache_dir
from lora_tui.text import _, ngettext, plain
from lora_tui.trainer.data.latents import Latents, cache_latents
from lora_tui.trainer.data.masks import Masks, cache_masks
from lora_tui.trainer.data.tensors import TensorStore
from lora_tui.trainer.data.texts import Texts, cache_texts
from lora_tui.trainer.measures import measures_images
from lora_tui.trainer.session import Session

NAMED = 3  # files that a warning names before it only counts


@dataclass
class Data:
    """What a run trains on.

    By uid: ``captions`` has the texts, ``hashes`` the digests of the files' bytes. ``rules`` are those of each dataset.
    """

    scan: Scan
    plan: DataPlan
    captions: dict[str, str]
    rules: tuple[CaptionRules, ...]
    hashes: dict[str, str] = field(default_factory=dict)

    def whole_caption(self, uid: str) -> str:
        """What is trained of an image's caption where nothing varies."""
        return whole_caption(self.captions.get(uid, ""), self.rules_of(uid))

    def rules_of(self, uid: str) -> CaptionRules:
        """What is done to an image's caption."""
        return self.rules[int(uid.partition("/")[0])]

    def longest_caption(self, uid: str, measure: Callable[[str], int]) -> str:
        """The longest that an image's caption can become."""
        return longest_caption(self.captions.get(uid, ""), self.rules_of(uid), measure)


def prepare_data(session: Session) -> Data:
    """Scan the datasets, plan the batches and read the captions; what is wrong with files is warned of.

    Raises:
        UserError: no image is left to train on.
        StopRun: a stop was asked for.
    """
    phase = session.phase("loading", _("dataset"))
    config = session.config
    scan = scan_datasets(config, on_progress=lambda done: phase(done, 0))
    _report_problems(session, scan)
    rules = tuple(rules_for(config, dataset) for dataset in range(len(config.datasets)))
    captions = _read_captions(session, scan, rules)
    data = Data(scan, _plan(session, scan), captions, rules)
    if not data.plan.train:
        raise UserError(
            _("every image is held out for validation."),
            place="validation.share",
            remedy=_("Lower validation.share, or turn validation off."),
            code="dataset.empty",
        )
    return data


def _plan(session: Session, scan: Scan) -> DataPlan:
    validation = session.config.validation
    groups: dict[str, int] = {}
    if validation_count(len(scan.images), validation.mode, validation.share):
        phase = session.phase("loading", _("near-duplicates"))
        groups = image_groups(scan.images, on_progress=lambda done: phase(done, len(scan.images)))
    plan, data = make_plan(session.config, scan, groups=groups), session.config.data
    return with_subjects(plan, data, session.phase("loading", _("subjects"))) if is_sought(data) else plan


def _without(session: Session, data: Data, failed: dict[str, str]) -> Data:
    """``data`` planned anew without the images that turned out unreadable; each is named in a warning.

    Raises:
        UserError: none is left.
    """

    def skipped(count: int) -> str:
        return ngettext(
            "{count} image cannot be read and is skipped", "{count} images cannot be read and are skipped", count
        )

    _warn_files(session, "image.unreadable", skipped, failed.values())
    images = tuple(image for image in data.scan.images if image.uid not in failed)
    scan = replace(data.scan, images=images)
    return replace(data, scan=scan, plan=_plan(session, scan))


def encode_images(session: Session, data: Data, model: Model) -> tuple[Data, Latents]:
    """Cache the latents of every image and let the VAE go; unreadable images are left out of the plan.

    Raises:
        UserError: no image can be read.
        StopRun: a stop was asked for.
    """
    store, batch = TensorStore(latent_store()), session.ladder.policy.encoded
    while True:  # without some of the images the plan may hold out others, which are shown in other ways then
        phase = session.phase("caching", _("latents"))
        planned = [*data.plan.train, *data.plan.validation]
        latents = cache_latents(planned, model, store, looks=data.plan.looks, progress=phase, batch=batch)
        if not latents.failed:
            break
        data = _without(session, data, latents.failed)
    model.release("vae")
    data.hashes = latents.hashes
    return data, latents


def encode_masks(session: Session, data: Data, model: Model) -> tuple[Data, Masks | None]:
    """Cache what counts of each image; none when no masks are in effect. Images with an unreadable one are left out.

    Raises:
        UserError: no image is left.
        StopRun: a stop was asked for.
    """
    section = session.config.masks
    if section.source == "off":
        return data, None
    masks = cache_masks(
        [*data.plan.train, *data.plan.validation], section, TensorStore(latent_store()),
        factor=model.facts.latent_factor, looks=data.plan.looks,
        progress=session.phase("caching", _("masks")),
    )  # fmt: skip
    hashes = data.hashes
    data = _without(session, data, masks.failed) if masks.failed else data
    data.hashes = hashes
    return data, masks


def hash_images(session: Session, data: Data) -> dict[str, str]:
    """Digests of the images' bytes by uid, for runs that cache no latents. Decodes nothing.

    Raises:
        UserError: an image cannot be read any more.
        StopRun: a stop was asked for.
    """
    phase = session.phase("loading", _("reading images"))
    planned = (*data.plan.train, *data.plan.validation)
    hashes = {}
    for done, one in enumerate(planned):
        phase(done, len(planned))
        hashes[one.image.uid] = content_hash(one.image.path)
    return hashes


def latent_store() -> ContentStore:
    """Where latents of all runs lie."""
    return ContentStore(cache_dir(), "latents")


def text_store() -> ContentStore:
    """Where text embeddings of all runs lie."""
    return ContentStore(cache_dir(), "text")


def encode_texts(session: Session, data: Data, model: Model, length: int) -> Texts | None:
    """Cache the embeddings of every caption that the run can show, in rows of ``length``.

    None where all encoders learn.

    Raises:
        StopRun: a stop was asked for.
    """
    learns = session.config.trains_text
    if learns and all(part.learns for part in model.text_parts):
        return None
    phase, store = session.phase("caching", _("text embeddings")), TensorStore(text_store())
    measured = measures_images(session.config.validation.each_image, data.plan)
    return cache_texts(
        _all_texts(data, measured=measured), model, store, length=length, learns=learns, progress=phase,
        batch=session.ladder.policy.captions,
    )  # fmt: skip


def caption_length(session: Session, data: Data, model: Model) -> int:
    """The length of rows of tokens for this run's captions; captions beyond the limit are warned of."""
    limit, setting = model.token_limit
    texts = {uid: data.longest_caption(uid, model.token_count) for uid in data.captions}
    long = [uid for uid, text in texts.items() if model.token_count(text) > limit]
    if long:
        session.warn(
            "caption.long",
            ngettext(
                "{count} caption is longer than {limit} tokens and is cut: {name}.",
                "{count} captions are longer than {limit} tokens and are cut, {name} for one.",
                len(long),
            ).format(count=len(long), limit=limit, name=plain(long[0])),
            _("Shorten them, or raise {setting} (up to {most}).").format(setting=setting, most=_most(setting)),
        )
    return model.text_length(texts.values())


def _most(setting: str) -> int:
    """The highest value that a setting of tokens takes."""
    return max(get_args(CaptionSection.model_fields[setting.partition(".")[2]].annotation))


def _all_texts(data: Data, *, measured: bool) -> set[str]:
    """The captions that the run can show, and those that each image is ``measured`` with."""
    seed = data.plan.seed
    found: set[str] = set()
    for planned in data.plan.train:
        uid = planned.image.uid
        found.update(possible_captions(data.captions.get(uid, ""), data.rules_of(uid), seed=seed, uid=uid))
    found.update(data.whole_caption(planned.image.uid) for planned in data.plan.validation)
    if measured:
        found.update(data.whole_caption(planned.image.uid) for planned in data.plan.pictures)
    return found


def _read_captions(session: Session, scan: Scan, rules: tuple[CaptionRules, ...]) -> dict[str, str]:
    captions: dict[str, str] = {}
    missing, unreadable, odd = [], [], []
    for image in scan.images:
        text = ""
        if image.caption_path is None:
            text = _readable(words_for(image.path.parent.name, rules[image.dataset].missing))
            if not text:
                missing.append(image.relative)
        else:
            try:
                document = read_caption(image.caption_path)
            except UserError as error:
                unreadable.append(str(error))
            else:
                if document.encoding == "undecodable":
                    odd.append(image.relative)
                text = _readable(source_text(document, rules[image.dataset]))
        captions[image.uid] = text
    _warn_files(session, "caption.missing", _bare, missing)
    _warn_files(session, "caption.unreadable", _unread, unreadable)
    _warn_files(session, "caption.encoding", _odd, odd)
    return captions


def _readable(text: str) -> str:
    """``text`` with ? for what is no character, as bytes of a name or a file may be."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _bare(count: int) -> str:
    return ngettext(
        "{count} image has no caption and is trained without one",
        "{count} images have no caption and are trained without one",
        count,
    )


def _unread(count: int) -> str:
    return ngettext(
        "{count} caption cannot be read and counts as empty",
        "{count} captions cannot be read and count as empty",
        count,
    )


def _odd(count: int) -> str:
    return ngettext(
        "{count} caption is not UTF-8; unknown characters become ?",
        "{count} captions are not UTF-8; unknown characters become ?",
        count,
    )


def _report_problems(session: Session, scan: Scan) -> None:
    errors = [f"{problem.path.name}: {problem.message}" for problem in scan.problems if problem.severity == "error"]

    def skipped(count: int) -> str:
        return ngettext(
            "{count} file cannot be read as an image and is skipped",
            "{count} files cannot be read as images and are skipped",
            count,
        )

    _warn_files(session, "image.unreadable", skipped, errors)


def _warn_files(session: Session, code: str, message: Callable[[int], str], names: Iterable[str]) -> None:
    found = [plain(name, limit=200) for name in names]
    if not found:
        return
    shown = "; ".join(found[:NAMED]) + ("; …" if len(found) > NAMED else "")
    session.warn(
        code, f"{message(len(found)).format(count=len(found))}: {shown}", _("lora-tui dataset check names them all.")
    )
