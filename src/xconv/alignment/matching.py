"""The pairs of two graphs, grown from the inputs and outputs along the edges, the surest first."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import count, product

from xconv.alignment.known import Edge, Side, colour, same_numbers
from xconv.alignment.records import Alignment, Pair

__all__ = ["Matching"]

RADIUS = 6
"""How many steps around a node its surroundings are compared."""
STEPS = 3
"""How many nodes without a counterpart are stepped over at a time."""
SAME = 2
"""What `fits` says of one node up to its settings."""
ENDS = 2
"""That two nodes make the same output says as much as two neighbours."""


class Matching:
    """Grows the pairs; the order of the heap is the order of certainty."""

    def __init__(self, a: Side, b: Side) -> None:
        self.a, self.b = a, b
        colour((a, b), RADIUS)
        self.to_b: dict[str, str] = {}
        self.to_a: dict[str, str] = {}
        self.doubtful: set[str] = set()
        self.heap: list[tuple[tuple[int, ...], int, str, str]] = []
        self.waiting: set[tuple[str, str]] = set()
        self.best: dict[tuple[str, str], tuple[int, ...]] = {}
        self.proposed_a: dict[str, set[str]] = defaultdict(set)
        self.proposed_b: dict[str, set[str]] = defaultdict(set)
        self.order = count()
        self.same: dict[tuple[str, str], bool] = {}
        self.ends: set[tuple[str, str]] = set()
        """The nodes that make the same output of both networks."""
        self.places = [{node.name: place for place, node in enumerate(side.graph.nodes)} for side in (a, b)]

    # -- certainty ---------------------------------------------------------------------------------------------------

    def alike(self, a: str, b: str) -> int:
        """How far the surroundings are the same: 0 for another node of the same family, -1 for another family."""
        if self.a.family[a] != self.b.family[b]:
            return -1
        same = 0
        for radius in range(RADIUS + 1):
            if self.a.colours[radius][a] != self.b.colours[radius][b]:
                break
            same = radius + 1
        return same

    def fits(self, a: str, b: str) -> int:
        """2 for the same node up to its settings, 1 for the same family, 0 for another."""
        if self.a.family[a] != self.b.family[b]:
            return 0
        return 2 if self.a.loose[a] == self.b.loose[b] else 1

    def evidence(self, a: str, b: str) -> int:
        """How many neighbours are pairs already, reached the same way; that both make the same output counts too."""
        ends = ENDS if (a, b) in self.ends else 0
        return (
            ends
            + self._agreeing(self.a.before[a], self.b.before[b])
            + self._agreeing(self.a.behind[a], self.b.behind[b])
        )

    def _agreeing(self, edges: Sequence[Edge], others: Sequence[Edge]) -> int:
        there = Counter((edge.node, edge.label) for edge in others)
        return sum(1 for edge in edges if there.get((self.to_b.get(edge.node, ""), edge.label)))

    def score(self, a: str, b: str) -> tuple[int, ...]:
        """How sure it is that two nodes are one: greater is surer."""
        return self.evidence(a, b), self.fits(a, b), self.alike(a, b)

    # -- growth ------------------------------------------------------------------------------------------------------

    def seed(self) -> None:
        """Inputs and outputs are pairs to begin with, in order, where there are as many."""
        inputs = [[value.node for value in side.graph.input_values()] for side in (self.a, self.b)]
        if len(inputs[0]) == len(inputs[1]):
            for a, b in zip(*inputs, strict=True):
                self.join(a, b)
        outputs = [[value.node for value in side.graph.output_values()] for side in (self.a, self.b)]
        if len(outputs[0]) == len(outputs[1]):
            self.ends = set(zip(*outputs, strict=True))
            for a, b in self.ends:
                self.propose(a, b)

    def spread(self) -> None:
        """Joins pairs until nothing is left: neighbours, then what is unique, then over gaps, then the rest."""
        while (
            self._sure()
            or self._unique()
            or self._by_numbers()
            or self._over_gaps()
            or self._other_sizes()
            or self._doubtful()
        ):
            pass
        self._left_over()

    def join(self, a: str, b: str) -> None:
        """Two nodes are a pair; what lies around them is proposed, and what waited for either is looked at again."""
        self.to_b[a], self.to_a[b] = b, a
        for other in self.proposed_a[a]:
            self._wake((free, other) for free in self.proposed_b[other])
        for other in self.proposed_b[b]:
            self._wake((other, free) for free in self.proposed_a[other])
        for edges, others in ((self.a.before[a], self.b.before[b]), (self.a.behind[a], self.b.behind[b])):
            for edge in edges:
                for other_edge in others:
                    if edge.label == other_edge.label:
                        self.propose(edge.node, other_edge.node)

    def _wake(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Pairs that waited for a rival to go are looked at again."""
        for pair in pairs:
            if pair in self.waiting:
                self.waiting.remove(pair)
                self._push(*pair)

    def _push(self, a: str, b: str) -> None:
        self.best[a, b] = score = self.score(a, b)
        heapq.heappush(self.heap, (tuple(-part for part in score), next(self.order), a, b))

    def propose(self, a: str, b: str) -> None:
        """Two nodes may be a pair, where both are free and of one family."""
        if a in self.to_b or b in self.to_a or not self.fits(a, b):
            return
        score = self.score(a, b)
        if self.best.get((a, b)) == score:
            return
        self.waiting.discard((a, b))
        self.proposed_a[a].add(b)
        self.proposed_b[b].add(a)
        self._push(a, b)

    def _rivals(self, a: str, b: str, score: tuple[int, ...]) -> list[tuple[str, str]]:
        """Other proposals for either node that are as good."""
        pairs = [(a, other) for other in self.proposed_a[a] if other != b and other not in self.to_a]
        pairs += [(other, b) for other in self.proposed_b[b] if other != a and other not in self.to_b]
        return [pair for pair in pairs if self.best[pair][1:] >= score[1:] and self.score(*pair) >= score]

    def _sure(self) -> bool:
        """Joins neighbours of pairs that fit, have the same sizes, and have no rival as good."""
        joined = False
        while self.heap:
            known, _, a, b = heapq.heappop(self.heap)
            if a in self.to_b or b in self.to_a:
                continue
            score = self.score(a, b)
            if tuple(-part for part in known) != score:
                if self.best[a, b] != score:
                    self._push(a, b)
            elif score[1] < SAME or self._rivals(a, b, score):
                self.waiting.add((a, b))
            else:
                self.join(a, b)
                joined = True
        return joined

    def _unique(self) -> bool:
        """Joins nodes whose surroundings are unique on both sides, the widest surroundings first."""
        for radius in range(RADIUS, 0, -1):
            found = self._alone(radius)
            if found:
                for a, b in found:
                    self.join(a, b)
                return True
        return False

    def _alone(self, radius: int) -> list[tuple[str, str]]:
        """Pairs of free nodes that alone on their side have these surroundings."""
        tables: list[dict[int, list[str]]] = []
        for side, taken in ((self.a, self.to_b), (self.b, self.to_a)):
            table: dict[int, list[str]] = defaultdict(list)
            for name in side.nodes:
                if name not in taken:
                    table[side.colours[radius][name]].append(name)
            tables.append(table)
        ours, theirs = tables
        return [(names[0], theirs[k][0]) for k, names in ours.items() if len(names) == 1 == len(theirs.get(k, ()))]

    def _over_gaps(self) -> bool:
        """Joins what lies behind or before nodes that have no counterpart here, the shortest gap first."""
        for steps in range(1, STEPS + 1):
            found = {pair for pair in self._beyond(steps) if self.fits(*pair) == SAME}
            ours, theirs = Counter(a for a, _ in found), Counter(b for _, b in found)
            single = sorted((a, b) for a, b in found if ours[a] == 1 == theirs[b])
            if not single and found:
                best = max(self.alike(*pair) for pair in found)
                single = [min(pair for pair in found if self.alike(*pair) == best)]
            for a, b in single:
                if a not in self.to_b and b not in self.to_a:
                    self.join(a, b)
            if single:
                return True
        return False

    def _beyond(self, steps: int) -> Iterator[tuple[str, str]]:
        """Free pairs that are reached from a pair by stepping over `steps` free nodes on one side."""
        for a, b in list(self.to_b.items()):
            for ours, theirs in (("before", "before"), ("behind", "behind")):
                near_a, near_b = self._free(self.a, a, ours, 0), self._free(self.b, b, theirs, 0)
                for far in self._free(self.a, a, ours, steps):
                    yield from ((far, near) for near in near_b)
                for far in self._free(self.b, b, theirs, steps):
                    yield from ((near, far) for near in near_a)

    def _free(self, side: Side, name: str, way: str, steps: int) -> set[str]:
        """The free nodes `steps` free nodes away."""
        taken = self.to_b if side is self.a else self.to_a
        edges: dict[str, list[Edge]] = getattr(side, way)
        reached = {edge.node for edge in edges[name] if edge.node not in taken}
        for _ in range(steps):
            reached = {edge.node for far in reached for edge in edges[far] if edge.node not in taken}
        return reached

    def _other_sizes(self) -> bool:
        """Joins the best neighbours of the same family whose settings or sizes are others."""
        pairs = self._pending()
        pairs.sort(key=lambda item: (*(-part for part in item[0]), self.places[0][item[1]], self.places[1][item[2]]))
        for score, a, b in pairs:
            if score[0] and not self._rivals(a, b, score):
                self.join(a, b)
                return True
        return False

    def _doubtful(self) -> bool:
        """Joins the best of several that fit as well, in the order in which they stand; it is told."""
        pairs = self._pending()
        if not pairs:
            return False
        score, a, b = min(
            pairs, key=lambda item: (*(-part for part in item[0]), self.places[0][item[1]], self.places[1][item[2]])
        )
        rivals = self._rivals(a, b, score)
        if any(not self._interchangeable(*pair, a, b) for pair in rivals):
            self.doubtful.add(a)
        self.join(a, b)
        return True

    def _by_numbers(self) -> bool:
        """Joins one of several that fit as well and alone holds the same weights: nothing else tells them apart."""
        fitting = [(a, b) for score, a, b in self._pending() if score[1] == SAME and self._same_numbers(a, b)]
        ours, theirs = Counter(a for a, _ in fitting), Counter(b for _, b in fitting)
        found = [(a, b) for a, b in fitting if ours[a] == 1 == theirs[b]]
        for a, b in found:
            self.join(a, b)
        return bool(found)

    def _same_numbers(self, a: str, b: str) -> bool:
        """Whether both hold the same weights."""
        if (a, b) not in self.same:
            self.same[a, b] = same_numbers(self.a, a, self.b, b)
        return self.same[a, b]

    def _pending(self) -> list[tuple[tuple[int, ...], str, str]]:
        """The proposals of free nodes that wait, with their scores."""
        free = [(a, b) for a, b in self.waiting if a not in self.to_b and b not in self.to_a]
        self.waiting = set(free)
        return [(self.score(a, b), a, b) for a, b in free]

    def _interchangeable(self, other_a: str, other_b: str, a: str, b: str) -> bool:
        """Whether the rivals are twins, so that either choice gives the same network."""
        last = RADIUS
        same_a = self.a.colours[last][other_a] == self.a.colours[last][a]
        return same_a and self.b.colours[last][other_b] == self.b.colours[last][b]

    def _left_over(self) -> None:
        """Joins free nodes of one shape, as many on either side, in the order in which they stand: not sure."""
        groups: list[dict[Hashable, list[str]]] = [defaultdict(list), defaultdict(list)]
        for side, taken, table in ((self.a, self.to_b, groups[0]), (self.b, self.to_a, groups[1])):
            for name, node in side.nodes.items():
                if name not in taken and node.weights:
                    table[side.family[name], side.loose[name]].append(name)
        for key, ours in groups[0].items():
            theirs = groups[1].get(key, [])
            if not theirs:
                continue
            import networkx  # half a second, and hardly ever needed

            choices = networkx.Graph()
            for a, b in product(ours, theirs):
                choices.add_edge(("a", a), ("b", b), weight=-self._distance(a, b))
            for chosen in networkx.max_weight_matching(choices, maxcardinality=True):
                (_, a), (_, b) = sorted(chosen)
                self.join(a, b)
                self.doubtful.add(a)

    def settle(self) -> None:
        """Moves pairs to the front of a gap, so that whole blocks are left behind them.

        Where the pairs grew towards a gap from both ends, they met inside a block.
        """
        _settle(self.a, self.b, self.to_b, self.to_a)
        _settle(self.b, self.a, self.to_a, self.to_b)

    def _distance(self, a: str, b: str) -> float:
        """How far two free nodes are from being one: by surroundings, then by their place in the network."""
        place_a = self.places[0][a] / len(self.places[0])
        place_b = self.places[1][b] / len(self.places[1])
        return (RADIUS - self.alike(a, b)) + abs(place_a - place_b)

    def result(self) -> Alignment:
        """What was found, in the order of the graphs."""
        pairs = tuple(
            Pair(name, self.to_b[name], name not in self.doubtful) for name in self.a.nodes if name in self.to_b
        )
        only_a = tuple(name for name in self.a.nodes if name not in self.to_b)
        only_b = tuple(name for name in self.b.nodes if name not in self.to_a)
        return Alignment(pairs, only_a, only_b, dict(self.to_b), dict(self.to_a))


def _settle(a: Side, b: Side, to_b: dict[str, str], to_a: dict[str, str]) -> None:
    """Gives every node whose counterpart takes something else the free node of `b` that takes the same, if any."""
    for name in a.nodes:
        here = to_b.get(name)
        if here is None or not a.before[name] or _takes(a, name, to_b) == _takes(b, here):
            continue
        wanted = _takes(a, name, to_b)
        near = {edge.node for before, _ in wanted for edge in (b.behind[before] if before else ())}
        fitting = [
            other
            for other in near
            if other not in to_a and b.exact[other] == b.exact[here] and _takes(b, other) == wanted
        ]
        if len(fitting) == 1:
            del to_a[here]
            to_b[name], to_a[fitting[0]] = fitting[0], name


def _takes(side: Side, name: str, names: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """What a node takes, under other names where they are given; nothing where a neighbour has none."""
    edges = side.before[name]
    return sorted((names.get(edge.node, "") if names is not None else edge.node, repr(edge.label)) for edge in edges)
