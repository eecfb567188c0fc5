"""Which cause names which difference: every setting, weight, wire and lone node belongs to one (`claims_of`).

One table for the settings and one list of rules for the lone nodes, so that no difference is told twice; what no cause
claims is `OTHER`, and is told as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from xconv import axes
from xconv.causes.lone import OTHER, Lone, LoneNodes, lone_nodes
from xconv.causes.settings import Change
from xconv.causes.wires import Wire, wires_of
from xconv.comparison.case import Case
from xconv.comparison.differences import Unlike, differences, effective_pads
from xconv.graph import Node
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
from xconv.layers.unary import Clip
from xconv.layers.upsample import Upsample
from xconv.spec import Spec

__all__ = ["OTHER", "SETTINGS", "Claims", "claims_of", "owner"]

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
    Upsample: {EVERY: "resizing"},
    Elementwise: {EVERY: "residual"},
}
"""The cause of every setting; what stands in no line is other_settings'."""


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


KNOWN: WeakKeyDictionary[Case, Claims] = WeakKeyDictionary()


def claims_of(case: Case) -> Claims:
    """The differences of a case by cause, worked out once."""
    if case not in KNOWN:
        KNOWN[case] = _claims(case)
    return KNOWN[case]


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
            cause = _cause(lone, unlike, a, b, kinds)
            if cause == WIDTH or unlike.kind in ("shape", "family"):
                cause = "features" if name in lone.heads and cause == WIDTH else cause
                table = resized
            else:
                table = settings
            known = table.setdefault(cause, {}).get(name, Change(a, b, ()))
            fields = known.fields if unlike.kind in ("shape", "family") else (*known.fields, unlike.kind)
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


def _cause(lone: LoneNodes, unlike: Unlike, a: Node, b: Node, kinds: Sequence[str]) -> str:
    """The cause that a difference of a pair belongs to."""
    if unlike.kind == "shape":
        return WIDTH
    if isinstance(a.spec, (Pool, AdaptivePool)) and ({"kernel", "kind", "family"} & {*kinds} or _padded(lone, a, b)):
        return "pooling"
    if unlike.kind == "padding" and "kernel" in kinds:
        return WIDTH
    return owner(type(a.spec), unlike.kind)


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
