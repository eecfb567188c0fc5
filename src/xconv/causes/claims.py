"""Which cause names which difference: every setting, weight, wire and lone node belongs to one (`claims_of`).

One table for the settings and one list of rules for the lone nodes, so that no difference is told twice; what no cause
claims is `OTHER`, and is told as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from xconv import axes
from xconv.causes.lone import OTHER, Lone, LoneNodes, lone_nodes
from xconv.causes.settings import Change
from xconv.causes.wires import Wire, wires_of
from xconv.comparison.case import Case
from xconv.comparison.differences import Unlike, differences, effective_pads
from xconv.comparison.opened import Opened
from xconv.graph import Node, Value
from xconv.layers.activation import Activation
from xconv.layers.adaptive_pool import AdaptivePool
from xconv.layers.attention import Attention
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.conv_transpose import ConvTranspose
from xconv.layers.dense import Dense
from xconv.layers.elementwise import Elementwise
from xconv.layers.group_norm import GroupNorm
from xconv.layers.layer_norm import LayerNorm
from xconv.layers.multi_head_attention import MultiHeadAttention
from xconv.layers.pad import Pad
from xconv.layers.pad_axes import PadAxes
from xconv.layers.pool import GlobalPool, Pool
from xconv.layers.prelu import PReLU
from xconv.layers.recurrent import Recurrent
from xconv.layers.rescale import Normalization, Rescaling
from xconv.layers.reshape import Flatten, Permute, Regroup, Reshape
from xconv.layers.scale import Scale
from xconv.layers.softmax import Softmax
from xconv.layers.unary import Clip
from xconv.layers.upsample import Upsample
from xconv.spec import Spec

__all__ = ["OTHER", "SETTINGS", "Claims", "claims_of", "owner", "rounds_up", "taken_whole"]

EVERY = "*"
"""All fields that have no line of their own."""

WIDTH = "missing_layers"

SETTINGS: Mapping[type[Spec], Mapping[str, str]] = {
    Conv: {"stride": "stride", "dilation": "stride", "padding": "padding", "kernel": WIDTH}
    | {"in_channels": WIDTH, "out_channels": WIDTH},
    ConvTranspose: {"stride": "stride", "dilation": "stride", "crop": "padding", "kernel": WIDTH}
    | {"in_channels": WIDTH, "out_channels": WIDTH},
    Dense: {"in_features": WIDTH, "out_features": WIDTH},
    Scale: {"features": WIDTH},
    PReLU: {"sizes": "activation"},
    BatchNorm: {"epsilon": "epsilon", "momentum": "momentum", "frozen": "frozen", "features": WIDTH},
    LayerNorm: {"epsilon": "epsilon", "sizes": WIDTH},
    GroupNorm: {"epsilon": "epsilon", "channels": WIDTH},
    Activation: {EVERY: "activation"},
    Clip: {EVERY: "activation"},
    Pool: {"stride": "stride", "padding": "padding", EVERY: "pooling"},
    GlobalPool: {EVERY: "pooling"},
    AdaptivePool: {EVERY: "pooling"},
    Pad: {EVERY: "padding"},
    PadAxes: {EVERY: "padding"},
    Rescaling: {EVERY: "rescaling"},
    Normalization: {EVERY: "rescaling"},
    Reshape: {EVERY: "reshaping"},
    Regroup: {EVERY: "reshaping"},
    Flatten: {EVERY: "reshaping"},
    Permute: {EVERY: "reshaping"},
    Attention: {EVERY: "attention"},
    MultiHeadAttention: {"dropout": "dropout", "features": WIDTH, EVERY: "attention"},
    Recurrent: {"features": WIDTH, "units": WIDTH, EVERY: "recurrent"},
    Softmax: {EVERY: "softmax"},
    Upsample: {EVERY: "resizing"},
    Elementwise: {EVERY: "residual"},
}
"""The cause of every setting; what stands in no line is other_settings'."""


STEPS = frozenset({"sequences", "states"})
WHOLE = frozenset({"shape", "family"})
"""Records that no setting mends."""
TAKEN = frozenset({"node", "inputs", "weight", "ports"})
"""Records that are no settings: lone nodes and wires are sorted here, a weight that one side lacks elsewhere."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The differences of a case by cause."""

    lone: Mapping[str, Lone]
    settings: Mapping[str, tuple[Change, ...]]
    resized: Mapping[str, tuple[Change, ...]]
    """Pairs that differ in size: their settings and the shapes of their weights."""
    wires: Mapping[str, tuple[Wire, ...]]

    def lone_of(self, cause: str) -> Lone:
        """The lone nodes of a cause."""
        return self.lone.get(cause, Lone())

    def changes(self, cause: str) -> tuple[Change, ...]:
        """The pairs whose settings differ as this cause says."""
        return self.settings.get(cause, ())


def claims_of(case: Case) -> Claims:
    """The differences of a case by cause, worked out once."""
    if "claims" not in case.memory:
        case.memory["claims"] = _claims(case)
    result: Claims = case.memory["claims"]
    return result


def taken_whole(case: Case) -> frozenset[str]:
    """The layers of `a` that no weights of their counterparts fit: a remedy puts them in whole."""
    return frozenset(change.a.name for changes in claims_of(case).resized.values() for change in changes)


def _claims(case: Case) -> Claims:
    lone = lone_nodes(case)
    settings: dict[str, dict[str, Change]] = {}
    resized: dict[str, dict[str, Change]] = {}
    for name, found in _by_pair(case).items():
        a, b = case.nodes_a[name], case.nodes_b[found[0].b]
        kinds = [unlike.kind for unlike in found]
        for unlike in found:
            if unlike.kind == "padding" and _pads_alike(case, a, b):
                continue
            cause = _cause(case, lone, unlike, a, b, kinds)
            if (cause == WIDTH and unlike.kind not in STEPS) or unlike.kind in WHOLE or _another_cell(a, kinds):
                cause = _of_width(case, lone, a) if cause == WIDTH else cause
                table = resized
            else:
                table = settings
            known = table.setdefault(cause, {}).get(name, Change(a, b, ()))
            fields = known.fields if unlike.kind in WHOLE else (*known.fields, unlike.kind)
            table[cause][name] = replace(known, fields=fields)
    return Claims(
        lone.by_cause,
        {cause: tuple(changes.values()) for cause, changes in settings.items()},
        {cause: tuple(changes.values()) for cause, changes in resized.items()},
        wires_of(case),
    )


def _by_pair(case: Case) -> Mapping[str, list[Unlike]]:
    """The settings and shapes that differ, by the name of the node in `a`."""
    found: dict[str, list[Unlike]] = {}
    for unlike in differences(case):
        if unlike.kind not in TAKEN and unlike.a:
            found.setdefault(unlike.a, []).append(unlike)
    return found


def _cause(case: Case, lone: LoneNodes, unlike: Unlike, a: Node, b: Node, kinds: Sequence[str]) -> str:
    """The cause that a difference of a pair belongs to."""
    if _another_cell(a, kinds):
        return "recurrent"
    if unlike.kind == "shape":
        return WIDTH
    if isinstance(a.spec, (Pool, AdaptivePool)) and ({"kernel", "kind", "family"} & {*kinds} or _padded(lone, a, b)):
        return "pooling"
    if unlike.kind == "padding" and (rounds_up(case.a, a) or rounds_up(case.b, b)):
        return "pooling"
    if isinstance(a.spec, Reshape) and _is_cut_for_attention(case, a):
        return "attention"
    if isinstance(a.spec, Recurrent) and unlike.kind in STEPS and _is_stacked(lone, a, b):
        return WIDTH  # it gives all steps for the sake of the other
    if unlike.kind == "padding" and "kernel" in kinds:
        return WIDTH
    return owner(type(a.spec), unlike.kind)


def _is_stacked(lone: LoneNodes, a: Node, b: Node) -> bool:
    """Whether a recurrent layer that one side lacks takes the steps of this one."""
    missing = lone.by_cause.get("missing_layers", Lone())
    there = {value.node for node in missing.b if isinstance(node.spec, Recurrent) for value in node.inputs}
    here = {value.node for node in missing.a if isinstance(node.spec, Recurrent) for value in node.inputs}
    return a.name in here or b.name in there


def _of_width(case: Case, lone: LoneNodes, node: Node) -> str:
    """The cause of another size: both directions before it, the head, or the width of the network."""
    for before in (case.nodes_a[value.node] for value in node.inputs):
        other = case.nodes_b.get(case.alignment.to_b.get(before.name, ""))
        specs = before.spec, other.spec if other is not None else None
        ways = [(spec.both, spec.merge) for spec in specs if isinstance(spec, Recurrent)]
        if len(ways) == len(specs) and ways[0] != ways[1]:
            return "recurrent"
    return "features" if node.name in lone.heads else WIDTH


def _another_cell(node: Node, kinds: Sequence[str]) -> bool:
    """Whether it is a recurrent layer whose weights mean something else in the other network."""
    return isinstance(node.spec, Recurrent) and bool({"kind", "both", "reset_after"} & {*kinds})


def rounds_up(opened: Opened, node: Node) -> bool:
    """Whether a pool of a live torch module has `ceil_mode`."""
    if not isinstance(node.spec, Pool) or not hasattr(opened.model, "get_submodule"):
        return False
    try:
        return bool(getattr(opened.model.get_submodule(node.layer), "ceil_mode", False))
    except AttributeError:
        return False


def _is_cut_for_attention(case: Case, node: Node) -> bool:
    """Whether a reshape cuts vectors into the heads of an attention layer behind it."""
    waiting, seen = [node], {node.name}
    while waiting:
        now = waiting.pop()
        for index in range(len(now.shapes)):
            for user in case.users_a.get(Value(now.name, index), ()):
                if isinstance(user.spec, Attention):
                    return True
                if user.name not in seen and not user.weights and len(user.inputs) == 1:
                    seen.add(user.name)
                    waiting.append(user)
    return False


def owner(kind: type[Spec], setting: str) -> str:
    """The cause that claims a setting of a family.

    >>> owner(Conv, "padding"), owner(Pool, "counts_pads"), owner(Conv, "groups")
    ('padding', 'pooling', 'other_settings')
    """
    for base in kind.__mro__:
        if base in SETTINGS:
            table = SETTINGS[base]
            return table.get(setting, table.get(EVERY, OTHER))
    return OTHER


def _padded(lone: LoneNodes, a: Node, b: Node) -> bool:
    """Whether a lone pad stands before the pool on one side, so that the pads are zeros there and -inf here."""
    pads = lone.by_cause.get("pooling", Lone())
    before = {value.node for value in (*a.inputs, *b.inputs)}
    return any(node.name in before for node in (*pads.a, *pads.b))


def _pads_alike(case: Case, a: Node, b: Node) -> bool:
    """Whether the pads of `b` would do the same in the layer of `a`, whose stride and size may be others."""
    if not isinstance(a.spec, (Conv, Pool)) or not isinstance(b.spec, (Conv, Pool)) or not a.inputs:
        return False
    shape = case.a.graph.shape(a.inputs[0])
    channels = axes.normal(a.spec.axis, len(shape))
    sizes = tuple(size for place, size in enumerate(shape) if place not in (0, channels))
    dilation = a.spec.dilation if isinstance(a.spec, Conv) else (1,) * len(sizes)
    ours, theirs = (
        effective_pads(pads, a.spec.kernel, a.spec.stride, dilation, sizes) for pads in (a.spec.padding, b.spec.padding)
    )
    return ours == theirs
