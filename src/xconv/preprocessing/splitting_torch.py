"""The modules of preprocessing at the beginning of a torch network, and the network from there on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from xconv.axes import is_identity
from xconv.errors import InvalidInput
from xconv.graph import map_structure
from xconv.preprocessing.description import FIRST, KEEP, LAST, Preprocessing
from xconv.preprocessing.steps import Step, normalise
from xconv.preprocessing.torch_transform import TorchTransform
from xconv.torch.modules.io import Input
from xconv.torch.modules.scale import Normalization, Rescaling
from xconv.torch.network import Network
from xconv.torch.program import Program, Result
from xconv.torch.record import KEY, Record
from xconv.torch.write import PROGRAM

__all__ = ["split"]


def split(model: nn.Module) -> tuple[Preprocessing, nn.Module]:
    """The description of the first modules, and a network of the others.

    Raises:
        InvalidInput: the network does not begin with preprocessing.
    """
    if isinstance(model, fx.GraphModule):
        return _of_graph(model)
    if type(model) is nn.Sequential:
        return _of_sequential(model)
    said = f"{type(model).__name__} is neither a converted network nor an nn.Sequential"
    raise InvalidInput(
        said, remedy="give what xconv.keras_to_torch returned, or nn.Sequential(Normalize(...), network)"
    )


def _of_sequential(model: nn.Sequential) -> tuple[Preprocessing, nn.Module]:
    description, count = Preprocessing(layout=FIRST), 0
    children = list(model.named_children())
    for name, child in children:
        made = _with(description, child, name)
        if made is None:
            break
        description, count = made, count + 1
    _check_lifted(count, children[0][0] if children else "nothing", count == len(children), "Sequential")
    rest = nn.Sequential()
    for name, child in children[count:]:
        rest.add_module(name, child)
    rest.training = model.training
    return description, rest


def _of_graph(model: fx.GraphModule) -> tuple[Preprocessing, nn.Module]:
    place = type(model).__name__
    placeholders = [node for node in model.graph.nodes if node.op == "placeholder"]
    if len(placeholders) != 1:
        raise InvalidInput(f"it has {len(placeholders)} inputs, not one picture", place=place)
    node, description, lifted = placeholders[0], Preprocessing(layout=_layout(model)), list[fx.Node]()
    axis = 1 if description.layout == FIRST else 3
    while (user := _one_user(node)) is not None:
        module = model.get_submodule(str(user.target)) if user.op == "call_module" else None
        made = None if module is None else _with(description, module, user.name, axis)
        if made is not None:
            description = made
            lifted.append(user)
        elif isinstance(module, Input):
            _check_picture(module, description.layout, place)
        elif user.target is torch.permute:
            axis = 1
        else:
            break
        node = user
    beginning = " and ".join(user.name for user in node.users)
    _check_lifted(len(lifted), beginning, any(user.op == "output" for user in node.users), place)
    return description, _without(model, lifted)


def _check_lifted(count: int, beginning: str, whole: bool, place: str) -> None:
    if not count or whole:
        said = "it is preprocessing altogether" if whole else f"it begins with {beginning}, which is no preprocessing"
        raise InvalidInput(said, place=place, remedy="preprocessing is Rescaling, Normalization, or Normalize")


def _check_picture(door: Input, layout: str, place: str) -> None:
    if len(door.shape) != 3 or door.shape[0 if layout == FIRST else -1] != 3:
        raise InvalidInput(f"it takes {door.shape}, which is no picture of three channels", place=place)


def _one_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _layout(model: fx.GraphModule) -> str:
    """In which order it takes its picture; the source is Keras where it differs."""
    found = model.meta.get(KEY)
    last = isinstance(found, Record) and is_identity(found.inputs[0].order) and found.inputs[0].shape[-1] == 3
    return LAST if last else FIRST


def _with(description: Preprocessing, module: nn.Module, place: str, axis: int = 1) -> Preprocessing | None:
    """The description with what a module does behind; None where it is no preprocessing.

    `axis` is where the channels are.
    """
    if isinstance(module, TorchTransform):
        if description.steps or description.frame != KEEP or module.preprocessing.layout != FIRST:
            raise InvalidInput("it is not the first step, or gives channels last", place=place)
        return module.preprocessing
    if isinstance(module, Rescaling):
        numbers = [_numbers(given, place) for given in (module.scale, module.offset)]
        if any(len(set(one)) > 1 for one in numbers) and module.axis % 4 != axis:
            raise InvalidInput(f"it scales along axis {module.axis}, the channels are axis {axis}", place=place)
        offset = (Step.of("add", numbers[1]),) if any(numbers[1]) else ()
        return description.then((Step.of("multiply", numbers[0]), *offset))
    if isinstance(module, Normalization) and not module.invert:
        return _normalised(description, module, place, axis)
    if type(module).__name__ == "Normalize" and type(module).__module__.startswith("torchvision."):
        return description.then(normalise(_numbers(module.mean, place), _numbers(module.std, place)))
    return None


def _normalised(description: Preprocessing, module: Normalization, place: str, axis: int) -> Preprocessing:
    """With the deviation as the module computes it: from a variance of its own dtype."""
    if module.constants is None:
        mean, variance = (one.detach().cpu().double().numpy() for one in (module.mean, module.variance))
        double = module.mean.dtype == torch.float64
    else:
        mean, variance = (np.asarray(one, np.float64) for one in module.constants)
        double = False
        variance = variance.astype(np.float32).astype(np.float64)
    if tuple(module.sizes) not in ((3, 1, 1) if axis == 1 else (1, 1, 3), (3,) if axis == 3 else (1,), (1, 1, 1), ()):
        raise InvalidInput(f"it normalises by numbers of shape {tuple(module.sizes)}", place=place)
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    made = description.then(normalise(_numbers(mean, place), _numbers(deviation, place)))
    return replace(made, dtype="float64") if double else made


def _numbers(given: Any, place: str) -> tuple[float, ...]:
    array = np.asarray(given, np.float64).ravel()
    if array.size not in (1, 3):
        said = f"{array.size} numbers, where a picture has three channels"
        raise InvalidInput(said, place=place)
    return tuple(float(one) for one in np.broadcast_to(array, (3,)))


def _without(model: fx.GraphModule, lifted: list[fx.Node]) -> nn.Module:
    """The same modules, parameters and buffers, called without those that were lifted out."""
    graph, values = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in model.graph.nodes:
        if node in lifted:
            values[node] = values[node.args[0]]
        else:
            values[node] = graph.node_copy(node, values.__getitem__)
    rest = Network(model, graph, class_name=type(model).__name__)
    rest.meta.update({key: value for key, value in model.meta.items() if key != PROGRAM})
    if isinstance(found := model.meta.get(KEY), Record):
        rest.meta[KEY] = _record(found, lifted)
    if isinstance(program := model.meta.get(PROGRAM), Program):
        kept = _program(program, [str(node.target) for node in lifted])
        if kept is not None:
            rest.meta[PROGRAM] = kept
    return rest


def _record(found: Record, lifted: list[fx.Node]) -> Record:
    """Without the nodes and weights that are gone; their arrays are told as not needed."""
    names, paths = {node.name for node in lifted}, tuple(f"{node.target}." for node in lifted)
    gone = [weight for weight in found.weights if weight.name.startswith(paths)]
    return replace(
        found,
        places={name: place for name, place in found.places.items() if name not in names},
        sources={name: source for name, source in found.sources.items() if name not in names},
        weights=tuple(weight for weight in found.weights if weight not in gone),
        unused=(*found.unused, *dict.fromkeys(weight.weight.key for weight in gone)),
        notes=(*found.notes, f"the preprocessing was lifted out: {', '.join(sorted(names))}"),
    )


def _program(program: Program, paths: list[str]) -> Program | None:
    """The program without these steps; None where it does not hold them so."""
    sources = dict[str, Result]()
    for path in paths:
        found = [step for step in program.steps if step.path == path and len(step.inputs) == 1]
        if len(found) != 1:
            return None
        (step,) = found
        sources[step.name] = sources.get(step.inputs[0].step, step.inputs[0])

    def result(given: Result) -> Result:
        return sources.get(given.step, given)

    steps = tuple(
        replace(step, inputs=tuple(map(result, step.inputs))) for step in program.steps if step.name not in sources
    )
    return replace(program, steps=steps, outputs=map_structure(result, program.outputs))
