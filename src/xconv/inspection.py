"""What a conversion would do with each layer of a Keras or torch model: a table, before anything is converted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from xconv.errors import Problem, XConvError
from xconv.graph import Graph, Node
from xconv.keras.read import survey
from xconv.keras.records import Entry, KerasModel, Ref
from xconv.layers.io import Input
from xconv.layers.reshape import Permute
from xconv.layout import Layout, resolve
from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, FOR_KERAS, run
from xconv.spec import Shape

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Inspection", "Row", "inspection_of", "inspection_of_torch"]

EXACT, TRAINING, UNSUPPORTED, UNREAD = "exact", "differs in training", "unsupported", "not read"


@dataclass(frozen=True, slots=True)
class Row:
    """One layer: `shape` is that of its last output as the source writes it; `parameters` counts its weights' numbers.

    Of a torch model it is a module that is a layer, or a function's call, with `kind` its ATen operators; `becomes` are
    the classes of Keras that say it. `exactness` is 'exact', 'differs in training', 'unsupported', or 'not read' for
    what lies behind an unsupported layer; `why` tells the reason.
    """

    layer: str
    kind: str
    shape: Shape | None
    parameters: int
    exactness: str
    why: str = ""
    becomes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inspection:
    """The layers of a model, what cannot be converted, and the permutes that would remain in the module."""

    source: str
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    permutes: tuple[str, ...]
    """Their names; unknown, and empty, where there are problems."""

    @property
    def ok(self) -> bool:
        """Whether the model can be converted."""
        return not self.problems

    @property
    def parameters(self) -> int:
        """The number of weights, statistics included."""
        return sum(row.parameters for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "source": self.source,
            "ok": self.ok,
            "parameters": self.parameters,
            "counts": self.counts(),
            "layers": [_plain(row) for row in self.rows],
            "problems": [asdict(problem) for problem in self.problems],
            "permutes": list(self.permutes),
        }

    def counts(self) -> dict[str, int]:
        """How many layers there are of each exactness."""
        kinds = (EXACT, TRAINING, UNSUPPORTED, UNREAD)
        return {kind: sum(row.exactness == kind for row in self.rows) for kind in kinds}

    def summary(self) -> str:
        """The totals, and the reasons in full, each once."""
        counts = ", ".join(f"{count} {kind}" for kind, count in self.counts().items() if count)
        lines = [f"{self.source}: {len(self.rows)} layers ({counts}), {self.parameters:,} parameters"]
        reasons: dict[str, list[str]] = {}
        for row in self.rows:
            if row.exactness == TRAINING:
                reasons.setdefault(row.why, []).append(row.layer)
        lines += [f"in training, {_some(layers)}: {why}" for why, layers in reasons.items()]
        if self.problems:
            return "\n".join([*lines, "cannot be converted:", *(f"  - {problem}" for problem in self.problems)])
        remaining = f": {', '.join(self.permutes)}" if self.permutes else ""
        return "\n".join([*lines, f"{len(self.permutes)} permutes will remain{remaining}"])

    def __str__(self) -> str:
        cells = [self._header(), *(self._cells(row) for row in self.rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]) - 1)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]) for row in cells]
        return "\n".join([*lines, "", self.summary()])

    def __rich__(self) -> Table:
        from rich.markup import escape
        from rich.table import Table

        table = Table(*self._header(), caption=escape(self.summary()))
        table.caption_justify = "left"
        table.columns[-2].justify = "right"
        colours = {EXACT: "green", TRAINING: "yellow", UNSUPPORTED: "red", UNREAD: "dim"}
        for row in self.rows:
            *cells, exactness = map(escape, self._cells(row))
            table.add_row(*cells, f"[{colours[row.exactness]}]{exactness}[/]")
        return table

    def _header(self) -> tuple[str, ...]:
        if any(row.becomes for row in self.rows):
            return "layer", "operators", "becomes", "output", "parameters", "exactness"
        return "layer", "class", "output", "parameters", "exactness"

    def _cells(self, row: Row) -> tuple[str, ...]:
        layer, kind, *rest = _cells(row)
        return (layer, kind, ", ".join(row.becomes), *rest) if len(self._header()) > 5 else (layer, kind, *rest)


def _plain(row: Row) -> dict[str, Any]:
    """A row as plain data; `becomes` where it is known."""
    data = {**asdict(row), "shape": row.shape and list(row.shape), "becomes": list(row.becomes)}
    return data if row.becomes else {key: value for key, value in data.items() if key != "becomes"}


def inspection_of(model: KerasModel, input_layout: Layout = "channels_first") -> Inspection:
    """The inspection of a model's records, on its way to torch; what cannot be read is listed, not raised.

    `input_layout` is how images would be taken; shapes in the result are as the Keras model writes them.
    """
    graph, problems = survey(model)
    source = model.source or model.name
    permutes: tuple[str, ...] = ()
    if not problems:
        try:
            permutes = _permutes(graph, input_layout)
        except XConvError as error:
            problems = error.problems
    nodes: dict[str, list[Node]] = {}
    for node in graph:
        nodes.setdefault(node.layer, []).append(node)
    seen: set[str] = set()
    rows = tuple(_row(*item, nodes, problems, seen) for item in _entries(model, ""))
    return Inspection(source, rows, problems, permutes)


def inspection_of_torch(program: Any, name: str, input_layout: Layout = "channels_last") -> Inspection:
    """The inspection of an exported program, on its way to Keras; what cannot be said is listed, not raised.

    `name` is what the network is called; `input_layout` is how images would be taken; shapes in the result are as the
    program writes them.
    """
    from xconv.torch.read import survey as survey_torch

    graph, problems = survey_torch(program, name)
    permutes: tuple[str, ...] = ()
    becomes: dict[str, list[str]] = {}
    if not problems:
        try:
            permutes, becomes = _in_keras(graph, input_layout)
        except XConvError as error:
            problems = error.problems
    groups: dict[tuple[str, int], list[Node]] = {}
    outer = {node.layer[:place] for node in graph for place, sign in enumerate(node.layer) if sign == "."}
    for node in graph:
        is_module = node.layer and node.layer not in outer
        groups.setdefault((node.layer, node.call) if is_module else (_function(node), 0), []).append(node)
    seen: set[str] = set()
    rows = tuple(_torch_row(path, call, own, problems, becomes, seen) for (path, call), own in groups.items())
    return Inspection(name, rows, problems, permutes)


def _function(node: Node) -> str:
    """The name of the call that a node is, or is a part of."""
    end = node.name.rfind(f".{node.part}") if node.part else -1
    return node.name if end < 0 else node.name[:end]


def _in_keras(graph: Graph, input_layout: Layout) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """The permutes that stay in Keras, and the classes that each node becomes, by its name."""
    from xconv.keras.names import layer_name
    from xconv.keras.write import records_of

    resolved = resolve(run(BEFORE_LAYOUT, graph), "last", input_layout)
    final = run(FOR_KERAS, run(AFTER_LAYOUT, resolved))
    model = records_of(final)
    owner = {ref.layer: value.node for ref, value in model.origins.items()}
    names = {layer_name(node.name): node.name for node in final}
    becomes: dict[str, list[str]] = {}
    for entry in model.entries:
        around = entry.name
        while around and around not in names:
            around = around.rpartition(">")[0]
        place = owner.get(entry.name) or names.get(around, "")
        becomes.setdefault(place, []).append(f"ops.{entry.kind}" if entry.is_op else entry.kind)
    return tuple(node.name for node in final if isinstance(node.spec, Permute)), becomes


def _torch_row(
    path: str,
    call: int,
    own: list[Node],
    problems: tuple[Problem, ...],
    becomes: Mapping[str, list[str]],
    seen: set[str],
) -> Row:
    """One module's call or one function's."""
    weights = [weight for node in own for weight in node.weights.values() if weight.key]
    fresh = {weight.key: weight for weight in weights if weight.key not in seen}
    seen.update(fresh)
    parameters = sum(prod(weight.source) for weight in fresh.values())
    kinds = dict.fromkeys("input" if isinstance(node.spec, Input) else node.kind for node in own)
    places = {node.name for node in own} | {path}
    wrong = [problem.what for problem in problems if problem.place in places]
    exactness, why = (UNSUPPORTED, "; ".join(dict.fromkeys(wrong))) if wrong else _exactness(path, own, ())
    made = tuple(dict.fromkeys(kind for node in own for kind in becomes.get(node.name, ())))
    name = f"{path} (call {call})" if call else path
    return Row(name, ", ".join(kinds), own[-1].shapes[0] if own[-1].shapes else None, parameters, exactness, why, made)


def _permutes(graph: Graph, input_layout: Layout) -> tuple[str, ...]:
    """The permutes that stay when all passes are done."""
    final = run(AFTER_LAYOUT, resolve(run(BEFORE_LAYOUT, graph), "first", input_layout))
    return tuple(node.name for node in final if isinstance(node.spec, Permute))


def _entries(model: KerasModel, prefix: str) -> Iterator[tuple[str, Entry, Shape | None]]:
    """Every layer with its path and the shape that the source states; of nested models what is inside, but inputs."""
    for entry in model.entries:
        if entry.inner is not None and not entry.problem:
            yield from _entries(entry.inner, f"{prefix}{entry.name}/")
        elif not (prefix and entry.kind == "InputLayer"):
            yield f"{prefix}{entry.name}", entry, model.shapes.get(Ref(entry.name))


def _row(
    path: str,
    entry: Entry,
    stated: Shape | None,
    nodes: Mapping[str, list[Node]],
    problems: tuple[Problem, ...],
    seen: set[str],
) -> Row:
    """One layer; a weight that several layers share counts once."""
    fresh = [weight for weight in entry.weights if weight.key not in seen]
    seen.update(weight.key for weight in entry.weights)
    parameters = sum(prod(weight.source) for weight in fresh)
    own = nodes.get(path, [])
    shape = own[-1].shapes[0] if own else stated
    kind = f"ops.{entry.kind}" if entry.is_op else entry.kind
    exactness, why = _exactness(path, own, problems)
    return Row(path, kind, shape, parameters, exactness, why)


def _exactness(path: str, own: list[Node], problems: tuple[Problem, ...]) -> tuple[str, str]:
    """How exactly the layer is converted, and why not exactly."""
    wrong = [problem.what for problem in problems if problem.place == path or problem.place.startswith(f"{path}/")]
    if wrong:
        return UNSUPPORTED, "; ".join(wrong)
    if not own:
        return UNREAD, "it comes after a layer that is unsupported, or no output depends on it"
    frozen = [getattr(node.spec, "frozen", False) for node in own]
    whys = [node.spec.training for node, still in zip(own, frozen, strict=True) if node.spec.training and not still]
    whys += [note for node in own for note in node.notes]
    return (TRAINING, "; ".join(dict.fromkeys(whys))) if whys else (EXACT, "")


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    shape = "" if row.shape is None else f"({', '.join('?' if size is None else str(size) for size in row.shape)})"
    reason = f": {row.why}" if row.exactness == UNSUPPORTED else ""
    return row.layer, row.kind, shape, f"{row.parameters:,}" if row.parameters else "", f"{row.exactness}{reason}"


def _some(names: list[str]) -> str:
    """A few of many names."""
    return ", ".join(names) if len(names) < 4 else f"{', '.join(names[:2])} and {len(names) - 2} more"
