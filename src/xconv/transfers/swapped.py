"""The channels of the image the other way round: which weights see it, and how each makes up for it.

BGR in the target where the source takes RGB. A convolution over all channels reads them in the other order, and behind
it nothing is left of the change. A layer that treats every channel apart (BatchNorm, a depthwise convolution) has its
own numbers the other way round, and hands the change on: then whole blocks of channels are, one block a colour.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

from xconv.comparison.case import Case
from xconv.errors import Problem
from xconv.graph import Node, Value
from xconv.layers.activation import Activation
from xconv.layers.adaptive_pool import AdaptivePool
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.layers.elementwise import Elementwise
from xconv.layers.pad import Pad
from xconv.layers.pool import GlobalPool, Pool
from xconv.layers.rescale import Normalization, Rescaling
from xconv.layers.reshape import Flatten
from xconv.layers.scale import Scale
from xconv.layers.unary import Clip, Unary
from xconv.layers.upsample import Upsample
from xconv.spec import Shape

__all__ = ["Swaps", "swaps"]

COLOURS = 3
IMAGE = len("NCHW")
"""From this rank on, an input with three channels is an image."""
BLIND = (Activation, AdaptivePool, Clip, Elementwise, GlobalPool, Pad, Pool, Unary, Upsample)
"""What does the same to every channel."""
BY_CHANNEL = (BatchNorm, Normalization, Scale)
"""What has numbers for every channel apart, as weights."""
SETTINGS = "its numbers for each channel are settings, not weights, and stay as they are"

Turn: TypeAlias = tuple[int, int]
"""The axis of a weight that is turned round, and how many places in a row stay together."""


@dataclass(slots=True)
class Swaps:
    """The turn of every weight by node of the source and role; what stands in the way; what a caller must know."""

    turns: dict[tuple[str, str], Turn] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def swaps(case: Case, ends: Container[str]) -> Swaps:
    """What every weight of the source becomes where its image has the channels the other way round.

    Args:
        case: the source as `a`.
        ends: nodes that stand at the ends of one model alone, which are the caller's to make up for.
    """
    walk = _Walk(case, ends)
    walk.run()
    return walk.found


@dataclass(slots=True)
class _Walk:
    """One walk along the source; `held` tells of each changed value how many channels in a row stay together."""

    case: Case
    ends: Container[str]
    found: Swaps = field(default_factory=Swaps)
    held: dict[Value, int] = field(default_factory=dict)

    def run(self) -> None:
        """From the images to the outputs."""
        shapes = self.case.a.graph.value_shapes()
        images = [value for value in self.case.a.graph.input_values() if _is_image(shapes[value])]
        self.held = dict.fromkeys(images, 1)
        if not images:
            what = f"no input of {self.case.a.name} is an image of {COLOURS} channels, which could be swapped"
            self.found.problems.append(Problem("", what))
        for node in self.case.a.graph.nodes:
            known = [self.held[value] for value in node.inputs if value in self.held]
            if not known:
                continue
            passed = self._behind(node, known, shapes)
            if isinstance(passed, str):
                self.found.problems.append(Problem(node.layer or node.name, passed))
            elif passed:
                self.held |= {Value(node.name, place): passed for place in range(len(node.shapes))}
        for value in self.case.a.graph.output_values():
            if value in self.held:
                what = "its channels come out the other way round as well, and nothing behind it reads them"
                self.found.problems.append(Problem(self.case.nodes_a[value.node].layer or value.node, what))
        self._note_ends()

    def _behind(self, node: Node, known: list[int], shapes: Mapping[Value, Shape]) -> int | str:
        """How many channels stay together behind a node, 0 where nothing is changed; why it cannot be done."""
        spec, block, before = node.spec, known[0], shapes[node.inputs[0]]
        if isinstance(spec, Conv):
            return self._convolution(node, spec, block)
        if isinstance(spec, Dense) and len(before) == len("NC"):
            self.found.turns[node.name, "kernel"] = 1, block
            return 0
        if node.name in self.ends and isinstance(spec, (Rescaling, Normalization)):
            return block
        if isinstance(spec, BY_CHANNEL):
            return self._by_channel(node, block, before)
        if isinstance(spec, Flatten) and None not in before[2:]:
            return block * prod(size or 1 for size in before[2:])
        alike = len(known) == len(node.inputs) and len({*known}) == 1 == len({shapes[value] for value in node.inputs})
        if alike and (isinstance(spec, BLIND) or (isinstance(spec, Rescaling) and _one(spec))):
            return block
        if isinstance(spec, Rescaling):
            return SETTINGS
        return f"{type(spec).__name__} reads the image's channels, and has no order of them to change"

    def _convolution(self, node: Node, spec: Conv, block: int) -> int | str:
        if spec.groups == 1:
            self.found.turns[node.name, "kernel"] = 1, block
            return 0
        if spec.groups % COLOURS:
            return f"its {spec.groups} groups of channels are no groups of the image's {COLOURS}"
        behind = spec.out_channels // COLOURS
        self.found.turns |= {(node.name, role): (0, behind) for role in node.weights}
        return behind

    def _by_channel(self, node: Node, block: int, before: Shape) -> int | str:
        """A layer whose weights all have one number for each channel."""
        for role, weight in node.weights.items():
            along = [place for place, size in enumerate(weight.shape) if size == before[1]]
            if len(along) != 1 or prod(weight.shape) != before[1]:
                return f"its {role} has not one number for each channel"
            self.found.turns[node.name, role] = along[0], block
        if isinstance(node.spec, Normalization) and not node.weights:
            return SETTINGS
        return block

    def _note_ends(self) -> None:
        """Numbers for each channel that one model alone has, and a caller is told to use outside the other."""
        for side, lone in ((self.case.a, self.case.only_a()), (self.case.b, self.case.only_b())):
            for node in lone:
                if node.name in self.ends and _tells_channels(node):
                    self.found.notes.append(
                        f"the numbers of {node.layer or node.name} are in the order of channels that {side.name} takes"
                    )


def _is_image(shape: Shape) -> bool:
    return len(shape) >= IMAGE and shape[1] == COLOURS


def _tells_channels(node: Node) -> bool:
    return isinstance(node.spec, Normalization) or (isinstance(node.spec, Rescaling) and not _one(node.spec))


def _one(spec: Rescaling) -> bool:
    """Whether it does the same to every channel."""
    return all(not isinstance(item, (tuple, list)) or len(set(item)) == 1 for item in (spec.scale, spec.offset))
