"""What the network's extras go together with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lora_tui.config.findings import Finding, error, warning
from lora_tui.config.layers import LayerRule, layer_size, read_rules, trained
from lora_tui.config.mistakes import shown
from lora_tui.config.optimizers import OPTIMIZER_FACTS
from lora_tui.config.schema import Config
from lora_tui.config.slots import list_lengths, only_sd3, slots_of
from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.families.protocol import TargetModule
from lora_tui.text import _
from lora_tui.weights.kinds import LYCORIS
from lora_tui.weights.names import fuses

HIGH_DROPOUT = 0.5


def together(config: Config) -> Iterator[Finding]:
    """Optimizers that some extras do not go with."""
    network, facts = config.network, OPTIMIZER_FACTS[config.optimizer.type]
    if network.lora_plus > 1 and facts.adaptive:
        yield error(
            "network.lora_plus",
            _("{name} has one step size for all: LoRA+ has no effect that it could know of.").format(name=facts.title),
            _("Set network.lora_plus to 1, or choose another optimizer."),
            "network.one_rate",
        )
    if network.max_norm > 0 and facts.averages:
        yield error(
            "network.max_norm",
            _("{name} keeps another point of the weights, which a highest norm would not reach.").format(
                name=facts.title
            ),
            _("Set network.max_norm to 0, or choose another optimizer."),
            "network.norm_of_average",
        )
    for name in ("dropout", "rank_dropout", "module_dropout"):
        share = getattr(network, name)
        if share > HIGH_DROPOUT:
            yield warning(
                f"network.{name}",
                _("With {share} left out, hardly anything is learned.").format(share=f"{share:.0%}"),
                _("Use 0.1 to 0.3."),
                "network.high_dropout",
            )


def dora(config: Config) -> Iterator[Finding]:
    """What DoRA does not go with."""
    network = config.network
    if not network.decomposed:
        return
    others = {
        "dropout": network.dropout > 0,
        "rank_dropout": network.rank_dropout > 0,
        "module_dropout": network.module_dropout > 0,
        "max_norm": network.max_norm > 0 and network.type not in LYCORIS,
    }
    own = network.type not in LYCORIS  # what else is refused whatever its sizes, see kinds()
    if own and config.saving.layout == "diffusers":
        yield warning(
            "saving.layout",
            _("diffusers leaves out the sizes of a DoRA: what it draws with the file is something else."),
            _("Set saving.layout to auto, or use the file in ComfyUI alone."),
            "saving.dora_dropped",
        )
    if own and fuses(config.model.family, config.saving.layout):
        yield error(
            "saving.layout",
            _("kohya's names for {family} hold several layers in one, for which DoRA's sizes have no meaning.").format(
                family=facts_for(config.model.family).title
            ),
            _("Set saving.layout to auto, which ComfyUI and Forge read, or network.dora to false."),
            "saving.dora_layout",
        )
    for name in (name for name, on in others.items() if on):
        yield error(
            f"network.{name}",
            _("{title} does not go together with DoRA.").format(title=name),
            _("Set it back, or set network.dora to false."),
            "network.not_with_dora",
        )


def units(config: Config) -> Iterator[Finding]:
    """A DyLoRA of a single unit, which learns as a LoRA does."""
    network = config.network
    if network.type == "dylora" and network.unit >= network.rank:
        yield warning(
            "network.unit",
            _("All {rank} ranks are one unit: they come and go together, and no smaller file can be cut.").format(
                rank=network.rank
            ),
            _("Set network.unit below the rank, or network.type to lora."),
            "network.one_unit",
        )


def kinds(config: Config) -> Iterator[Finding]:
    """LyCORIS' kinds in names that cannot hold them."""
    layout = config.saving.layout
    if config.network.type == "dylora" and fuses(config.model.family, layout):
        yield error(
            "saving.layout",
            _("kohya's names for {family} hold several layers in one, whose ranks cannot be told apart.").format(
                family=facts_for(config.model.family).title
            ),
            _("Set saving.layout to auto, which ComfyUI and Forge read."),
            "saving.kind_layout",
        )
    if config.network.type not in LYCORIS or (layout != "diffusers" and not fuses(config.model.family, layout)):
        return
    yield error(
        "saving.layout",
        _("diffusers reads no adapter of this type, whatever its names.")
        if layout == "diffusers"
        else _("kohya's names for {family} hold several layers in one, which only LoRA can be split into.").format(
            family=facts_for(config.model.family).title
        ),
        _("Set saving.layout to auto, which ComfyUI and Forge read."),
        "saving.kind_layout",
    )


def no_convolutions(config: Config) -> Iterator[Finding]:
    """LoCon for a model that has none of its layers."""
    facts, network = facts_for(config.model.family), config.network
    if not network.convolutions:
        return
    more = facts.targets(config.model.base, convolutions=True)
    if len(more) == len(facts.targets(config.model.base)):
        yield warning(
            "network.type",
            _("{family} has no convolutions: LoCon trains the same layers as LoRA.").format(family=facts.title),
            _("Set network.type to lora."),
            "network.no_convolutions",
        )


def layers(config: Config) -> Iterator[Finding]:
    """Rules for single layers: readable, about layers that there are, and such that something is left."""
    network, facts = config.network, OPTIMIZER_FACTS[config.optimizer.type]
    if not network.layers:
        return
    try:
        rules = read_rules(network.layers)
    except UserError as problem:
        yield error("network.layers", problem.message, problem.remedy, problem.code)
        return
    targets = facts_for(config.model.family).targets(
        config.model.base, text_encoder=config.trains_text, convolutions=network.convolutions
    )
    yield from _lists(config, rules, targets)
    for rule in rules:
        foreign = only_sd3(rule.pattern) and config.model.family != "sd3"
        if not rule.listed and (foreign or not any(rule.fits(target) for target in targets)):
            yield error(
                "network.layers",
                _("The rule {pattern} fits no layer that is trained.").format(pattern=shown(rule.pattern)),
                _("Layers are named like {name}.").format(name=f"{targets[0].part}.{targets[0].path}"),
                "network.layers_unmatched",
            )
    if not trained(network, targets):
        yield error(
            "network.layers",
            _("The rules leave every layer out: nothing would be trained."),
            _("Give some layers a rate above 0."),
            "network.layers_none",
        )
    if facts.adaptive and any(rule.rate not in (None, 0.0, 1.0) for rule in rules):
        yield error(
            "network.layers",
            _("{name} has one step size for all: layers cannot have rates of their own.").format(name=facts.title),
            _("Leave rates out of the rules, but for rate=0."),
            "network.one_rate",
        )


def presets(config: Config) -> Iterator[Finding]:
    """Presets of layers that leave nothing, or a text encoder nothing."""
    network, facts = config.network, facts_for(config.model.family)
    if network.targets == "all":
        return
    found = trained(
        network,
        facts.targets(config.model.base, text_encoder=config.trains_text, convolutions=network.convolutions),
    )
    if not found:
        yield error(
            "network.targets",
            _("Of the layers that {kind} adapts in {family}, none is one of these.").format(
                kind=network.type, family=facts.title
            ),
            _("Set network.all_convolutions to true, or network.type to locon, or network.targets to all.")
            if network.targets == "convblock-only" and facts.denoiser == "unet"  # others have no convolutions
            else _("Set network.targets to all."),
            "network.targets_none",
        )
    elif config.trains_text and not any(target.part.startswith("text_encoder") for target in found):
        yield error(
            "network.text_encoder",
            _("None of the chosen layers is one of the text encoder's."),
            _("Set network.text_encoder to false, or network.targets to all."),
            "network.targets_text",
        )


def ranks(config: Config) -> Iterator[Finding]:
    """Ranks that are larger than a layer."""
    network = config.network
    if network.type in LYCORIS and network.type != "glora":
        return  # a rank is not a number of directions there
    targets = facts_for(config.model.family).targets(
        config.model.base, text_encoder=config.trains_text, convolutions=network.convolutions
    )
    for target in trained(network, targets):
        rank, most = layer_size(network, target).rank, min(target.inputs * target.kernel**2, target.outputs)
        if rank > most:
            own = rank not in (network.rank, network.conv_rank)
            yield error(
                "network.layers" if own else "network.conv_rank" if target.kernel > 1 else "network.rank",
                _("rank {rank} is above the size of layers such as {name}, which have {most} directions.").format(
                    rank=rank, name=f"{target.part}.{target.path}", most=most
                ),
                _("Set it to {rank} or below, or give those layers a rank of their own in network.layers.").format(
                    rank=most
                ),
                "network.rank_above_layer",
            )
            return


def _lists(config: Config, rules: Iterable[LayerRule], targets: Sequence[TargetModule]) -> Iterator[Finding]:
    """Lists with a number too many or too few for the model."""
    family = facts_for(config.model.family)
    blocks = [slots_of(target.part, target.path) for target in targets]
    for pattern, count in dict.fromkeys((rule.pattern, rule.listed) for rule in rules if rule.listed):
        lengths = list_lengths(config.model.family, pattern, blocks)
        if count in lengths:
            continue
        yield error(
            "network.layers",
            _("The list for {pattern} has {count} numbers, which no list of {family} has.").format(
                pattern=shown(pattern), count=count, family=family.title
            ),
            _("Give it {counts}.").format(counts=" / ".join(map(str, lengths)))
            if lengths
            else _("Name its blocks one by one, such as DOUBLE0-18 or IN04."),
            "network.layers_list",
        )


RULES = (together, dora, units, kinds, no_convolutions, presets, layers, ranks)
