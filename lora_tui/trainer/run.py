"""A training run from its folder to its LoRA file. Reads from top to bottom as what happens."""

from __future__ import annotations

from functools import partial

from lora_tui.caches.contents import contents_store
from lora_tui.caches.store import ContentStore
from lora_tui.dataset.subjects import subject_store
from lora_tui.families import open_model
from lora_tui.families.packed import packed_store
from lora_tui.families.protocol import Model
from lora_tui.text import _
from lora_tui.trainer.attention import attending, choose_attention
from lora_tui.trainer.control import StopRun
from lora_tui.trainer.crew import Crew
from lora_tui.trainer.fetch import fetch_base
from lora_tui.trainer.loop import Loop, Outcome
from lora_tui.trainer.material import Material
from lora_tui.trainer.memory.fitting import fit
from lora_tui.trainer.metadata import FileHashes
from lora_tui.trainer.optim.optimizers import recipe
from lora_tui.trainer.optim.schedules import try_schedule
from lora_tui.trainer.prepare import (
    caption_length,
    encode_images,
    encode_masks,
    encode_texts,
    hash_images,
    latent_store,
    prepare_data,
    text_store,
)
from lora_tui.trainer.record import record_inputs
from lora_tui.trainer.session import Session
from lora_tui.trainer.trainee import Trainee, build_trainee


def train(session: Session, *, resume: bool) -> Outcome:
    """Prepare, cache, train, finish.

    With ``resume`` the newest whole state is taken up; without one the run begins again, which gives the same
    result since nothing had been learned.

    Raises:
        UserError: the input is wrong; nothing was lost.
        StopRun: a stop was asked for before there was anything to save.
        LostProcess: another process of the run has ended.
        OSError, RuntimeError: the machine failed; what was saved before is whole.
    """
    with session.held as held:
        for store in stores():
            store.prune()
            held.enter_context(store.in_use())
        if resume:
            session.ladder.take_up()
        crew = Crew(session)
        held.callback(crew.close)
        try:
            outcome = _train(session, crew, resume=resume)
        except StopRun:
            crew.require_whole()
            raise
        if outcome.reason != "completed":
            crew.require_whole()  # the launcher of one that was lost asks the others to stop
        return outcome


def _train(session: Session, crew: Crew, *, resume: bool) -> Outcome:
    material = gather(session)
    crew.start(material)
    trainee = build_trainee(session, material.model)
    kernel = choose_attention(session, material, trainee)
    session.ranks = crew.join()
    with attending(session.ranks.agree(kernel)):
        loop = Loop(session, material, trainee)
        session.controls.park, session.controls.unpark = loop.park, loop.unpark
        return loop.run(resume=resume)


def stores() -> tuple[ContentStore, ...]:
    """The caches that a run works with."""
    return latent_store(), text_store(), packed_store(), contents_store(), subject_store()


def prepare(session: Session) -> tuple[Material, Trainee]:
    """Everything before the first step of a run with one process: data, base model, caching passes, adapter."""
    material = gather(session)
    return material, build_trainee(session, material.model)


def gather(session: Session) -> Material:
    """Data, base model, the caching passes.

    Each part of the base model is loaded for its pass and let go of after it, unless it is trained.
    """
    config = session.config
    recipe(config.optimizer).try_out(session.device)
    try_schedule(config.learning)
    data = prepare_data(session)
    fetch_base(session)
    session.phase("loading", _("base model"))
    model = open_base(session)
    session.controls.park, session.controls.unpark = model.park, model.unpark

    latents = None
    if config.memory.cache_latents:
        data, latents = session.ladder.attempt("latents", partial(encode_images, session, data, model))
    else:
        data.hashes = hash_images(session, data)
    data, masks = encode_masks(session, data, model)
    if latents is not None and masks is not None and masks.failed:  # the plan without these may show others otherwise
        data, latents = session.ladder.attempt("latents", partial(encode_images, session, data, model))
    length = caption_length(session, data, model)
    texts = session.ladder.attempt("texts", partial(encode_texts, session, data, model, length))
    base = FileHashes.of(model.weight_files()[0])
    material = Material(session, data, model, latents, texts, masks, length, base)
    if texts is not None:
        session.ladder.attempt("texts", material.encode_prompts)
        material.release_texts()
    record_inputs(session, data, base)

    session.phase("loading", _("network"))
    return material


def open_base(session: Session) -> Model:
    """The base model on this process's device, nothing of it loaded."""
    config = session.config
    model = open_model(config.model, config.captions, device=session.device, dtype=session.dtype)
    fit(model, session.ladder, config)
    return model
