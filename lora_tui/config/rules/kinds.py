"""Ranks and alphas of types of adapters that have none, and blocks of OFT that are too small to turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lora_tui.config.findings import Finding, error, warning
from lora_tui.config.layers import layer_size, read_rules, trained
from lora_tui.config.mistakes import shown
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.families.protocol import TargetModule
from lora_tui.text import _, count
from lora_tui.weights.kinds import NAMES, factors

USUAL_BLOCKS = (4, 8, 16, 32, 2)
"""Sizes of OFT's blocks that are proposed, the first that fits."""


def blocks(config: Config) -> Iterator[Finding]:
    """Blocks of one output, which nothing can turn; rescaled ones still learn a factor. BOFT's have two at least."""
    network = config.network
    if network.type != "oft" or network.rescaled:
        return
    targets = trained(
        network,
        facts_for(config.model.family).targets(
            config.model.base, text_encoder=config.trains_text, convolutions=network.convolutions
        ),
    )
    stuck = [target for target in targets if factors(target.outputs, layer_size(network, target).rank)[0] == 1]
    if not stuck:
        return
    own = {network.size_of(target.kernel)[0] != layer_size(network, target).rank for target in stuck}
    wide = all(target.kernel > 1 for target in stuck)
    key = "network.layers" if own == {True} else "network.conv_rank" if wide else "network.rank"
    if len(stuck) == len(targets):
        yield error(
            key, _("Blocks of 1 x 1 cannot be turned: OFT would learn nothing."), _turning(stuck), "network.blocks"
        )
    else:
        yield warning(
            key,
            _("{count} of {total} layers, such as {name}, have blocks of 1 x 1, which cannot be turned.").format(
                count=count(len(stuck)), total=count(len(targets)), name=f"{stuck[0].part}.{stuck[0].path}"
            ),
            _turning(stuck),
            "network.some_blocks",
        )


def _turning(stuck: Sequence[TargetModule]) -> str:
    """A size of blocks that turns in all of these layers."""
    for size in USUAL_BLOCKS:
        if all(factors(target.outputs, size)[0] > 1 for target in stuck):
            return _("Set the rank, which is the size of the blocks here, to {size}.").format(size=size)
    return _("Leave those layers out in network.layers with rate=0.")


def rules_in_vain(config: Config) -> Iterator[Finding]:
    """Rules for layers that give a rank or an alpha to a type that has none."""
    network = config.network
    try:
        rules = read_rules(network.layers)
    except UserError:  # said by another rule
        return
    for rule in rules:
        given = {"rank": rule.rank, "conv_rank": rule.conv_rank} if not network.ranked else {}  # 0 leaves layers out
        alphas = {} if network.scaled else {"alpha": rule.alpha, "conv_alpha": rule.conv_alpha}
        if idle := [name for name, value in (given | alphas).items() if value]:
            yield warning(
                "network.layers",
                _("{names} has no effect in the rule {pattern}: {kind} has none.").format(
                    names=", ".join(idle),
                    pattern=shown(rule.pattern),
                    kind=_(NAMES[network.type]) + (f" ({_('whole matrices')})" if network.type == "lokr" else ""),
                ),
                _("Leave it out; a rate holds for every type."),
                "network.layers_in_vain",
            )
            return


RULES = (blocks, rules_in_vain)
