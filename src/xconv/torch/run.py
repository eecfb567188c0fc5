"""Running the torch side of a verification: a converted module, any nn.Module, or an ExportedProgram."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from xconv import axes
from xconv.errors import InvalidInput
from xconv.inputs import Feed, leaves
from xconv.keras.walk import Key
from xconv.sides import OWN, Named, NoKernel
from xconv.statistics import Array
from xconv.torch.modules.states import afresh, samples_of
from xconv.torch.precision import full_precision, in_precision, recast
from xconv.torch.record import KEY, Port, Record
from xconv.torch.reuse import without_reuse
from xconv.torch.tensorflow_constants import TensorflowConstants, float32_attributes
from xconv.torch.trace import Traced, keys_of, to_held, to_written, trace
from xconv.torch.watch import Visitor, watched
from xconv.torch.widened import Islands, Reading, Widened, as_array

__all__ = ["TorchSide", "fitting"]


class TorchSide:
    """A torch module, run in eval mode without gradients and TF32; the user's module is never changed.

    A converted module carries a record: inputs are turned from the source's written layout into the module's own, and
    outputs back. For one without, `assume` says how its layouts correspond to those of the other side.
    """

    framework = "torch"
    readings = tuple(Reading)
    """What may be meant by float64 where the network's own text says float32."""

    def __init__(self, module: Any, name: str = "", record: Record | None = None) -> None:
        self.exported: Any = module if isinstance(module, torch.export.ExportedProgram) else None
        self.module: nn.Module = self.exported.module() if self.exported else module
        found = getattr(module, "meta", None) or getattr(self.module, "meta", {})
        own = found.get(KEY) if isinstance(found.get(KEY), Record) else None
        self.record: Record | None = record or own
        self.name = name or (self.record.source if self.record else type(module).__name__)
        self.notes: list[str] = []
        self.assumed = False
        self._widened: Widened | None = None
        self._modules: dict[str, nn.Module] = {}
        self._kept: dict[str, nn.Module] = {}

    def assume(self, record: Record) -> None:
        """Take the ports of this record for the module's own; its inputs are then matched by name where they can be.

        An output that does not have the record's shape is taken in the order in which it does.
        """
        self.record, self.assumed = record, True

    def read_as(self, reading: Reading | None) -> None:
        """From now on float64 means this reading of the network's text; None: the module in float64, as it runs."""
        self._widened = Widened(reading) if reading is not None else None

    @cached_property
    def traceable(self) -> bool:
        """Whether the record's nodes are those of the module's graph; an exported program has others."""
        if self.record is None or self.assumed or not isinstance(self.module, fx.GraphModule):
            return False
        return bool(self.record.places) and set(self.record.places) <= {node.name for node in self.module.graph.nodes}

    def feeds(self) -> tuple[Feed, ...]:
        """The inputs that the record or the program states, as the record's source writes them; empty without both."""
        own = self._stated()
        if self.record is None:
            return own
        ports, batch = self.record.inputs, samples_of(self.module)
        shapes = [port.shape if batch is None else (batch, *port.shape[1:]) for port in ports]
        feeds = tuple(Feed(port.name, shape, port.dtype) for port, shape in zip(ports, shapes, strict=True))
        if len(own) != len(feeds):
            return feeds
        own = tuple(own[place] for place in self._places(ports))
        return tuple(_narrowed(feed, stated, port) for feed, stated, port in zip(feeds, own, ports, strict=True))

    def _stated(self) -> tuple[Feed, ...]:
        """What an exported program says of its inputs, in its own layout; sizes that are open are None."""
        if not _is_exported(self.module):
            return ()
        graph: Any = self.module.graph
        tensors = [(node.name, node.meta.get("val")) for node in graph.nodes if node.op == "placeholder"]
        return tuple(
            Feed(name, tuple(map(_fixed, t.shape)), str(t.dtype).removeprefix("torch."))
            for name, t in tensors
            if isinstance(t, torch.Tensor)
        )

    def _places(self, ports: Sequence[Port]) -> list[int]:
        """For every port, the place of its tensor among those that an exported program takes."""
        names = [feed.name for feed in self._stated()]
        wanted = [port.name for port in ports]
        same = self.assumed and len(set(names)) == len(names) and sorted(names) == sorted(wanted)
        return [names.index(name) for name in wanted] if same else list(range(len(wanted)))

    def outputs(self, inputs: Sequence[Array], dtype: str) -> tuple[Named, ...]:
        """The outputs in the source's written layout, computed in `dtype`.

        Raises:
            InvalidInput: the module does not take these inputs.
            NoKernel: it takes them in float32, but not in float64.
        """
        module = self._in(dtype)
        with _foreign_errors(self.name, dtype), self._computing(module, dtype):
            return self._finished(self._call(module, module, self._held(inputs, module, dtype)))

    def exportable(self, inputs: Sequence[Array], dtype: str) -> tuple[nn.Module, tuple[Any, ...]]:
        """The module in `dtype`, and the arguments with which it is called on these inputs.

        Raises:
            NoKernel: float64 means a reading of its text, which no copy of it computes by itself.
        """
        if self._reading(dtype) is not None:
            raise NoKernel("its text asks for float32", place=self.name)
        module = self._in(dtype)
        tensors = self._held(inputs, module, dtype)
        if _is_exported(module):
            return module, tuple(tensors)
        args, kwargs = self._arguments(tensors)
        known = inspect.signature(module.forward).parameters
        return module, (*args, *(kwargs[name] for name in known if name in kwargs))

    def islands(self, inputs: Sequence[Array]) -> tuple[str, ...]:
        """The layers that compute in float32 although the module is in float64, because their text says so."""
        self.read_as(None)
        module, mode = self._in("float64"), Islands()

        def announce(layer: str) -> None:
            mode.layer = layer

        with (
            suppress(NoKernel),  # such an island may be what it cannot run for
            _foreign_errors(self.name, "float64"),
            full_precision(module, "float64"),
            afresh(module),
            watched(module, enter=announce) as run,
            mode,
        ):
            self._call(run, module, self._held(inputs, module, "float64"))
        return tuple(mode.found)

    def outputs_as_tensorflow(
        self, inputs: Sequence[Array], kinds: Mapping[str, str]
    ) -> tuple[tuple[Named, ...], dict[str, str]]:
        """The float64 outputs with TensorFlow's float32 constants, and what was rounded, by layer.

        `kinds` are the classes of the Keras side's layers, by path.
        """
        module, mode = self._in("float64"), TensorflowConstants(kinds)

        def announce(layer: str) -> None:
            mode.layer = layer

        with (
            _foreign_errors(self.name, "float64"),
            self._computing(module, "float64"),
            self._as_tensorflow(module, mode),
        ):
            tensors = self._held(inputs, module, "float64")
            if isinstance(module, fx.GraphModule) and not _is_exported(module):
                run = _Listening(module, before=lambda node: announce(self._layer_of(node))).run
                return self._finished(run(*tensors)), dict(mode.used)
            with watched(module, enter=announce) as run:
                return self._finished(self._call(run, module, tensors)), dict(mode.used)

    def traced(
        self,
        inputs: Sequence[Array],
        dtype: str,
        reference: Callable[[Key], Array | None],
        constants: TensorflowConstants | None = None,
    ) -> Iterator[Traced]:
        """Every placed node against the reference (see `trace`); nothing without a record.

        With `constants`, float64 calls use TensorFlow's float32 constants, and the layers are noted there.
        """
        module = self._keeping(dtype)
        if not self.traceable or self.record is None or not isinstance(module, fx.GraphModule):
            return
        with ExitStack() as stack:
            stack.enter_context(_foreign_errors(self.name, dtype))
            enter = (lambda layer: setattr(constants, "layer", layer)) if constants else (lambda layer: None)
            rows = trace(module, self.record, self._held(inputs, module, dtype), reference, enter)
            while True:
                with self._computing(module, dtype), self._as_tensorflow(module, constants):
                    row = next(rows, None)
                if row is None:
                    return
                yield row

    def layers(self, inputs: Sequence[Array], dtype: str) -> Iterator[tuple[Key, Array]]:
        """Every source tensor that the module computes; without a record, the outputs of the innermost modules."""
        module = self._keeping(dtype)
        if self.traceable and self.record is not None and isinstance(module, fx.GraphModule):
            found: list[tuple[Key, Array]] = []
            keys, orders = keys_of(self.record), {name: place.order for name, place in self.record.places.items()}

            def keep(node: fx.Node, value: Any) -> None:
                if node.name in keys and isinstance(value, torch.Tensor):
                    found.append((keys[node.name], to_written(value, orders[node.name])))

            with _foreign_errors(self.name, dtype), self._computing(module, dtype):
                _Listening(module, after=keep).run(*self._held(inputs, module, dtype))
            yield from found
        else:
            found = []

            def keep_copy(key: Key, value: torch.Tensor) -> None:
                found.append((key, as_array(value).copy()))

            self.watch(inputs, dtype, keep_copy)
            yield from found

    def watch(
        self, inputs: Sequence[Array], dtype: str, visit: Visitor, constants: TensorflowConstants | None = None
    ) -> None:
        """Runs the module with `visit` told every tensor that an innermost module returns, in the module's layout.

        What `visit` gives is used in its place. With `constants`, float64 calls use TensorFlow's float32 constants.
        """
        module = self._keeping(dtype)

        def enter(layer: str) -> None:
            if constants is not None:
                constants.layer = layer

        with (
            _foreign_errors(self.name, dtype),
            self._computing(module, dtype),
            self._as_tensorflow(module, constants),
            watched(module, visit, enter) as run,
        ):
            self._call(run, module, self._held(inputs, module, dtype))

    def kinds(self) -> dict[str, str]:
        """The class name of every module, by path."""
        return {path.replace(".", "/"): type(child).__name__ for path, child in self.module.named_modules() if path}

    def is_fresh(self) -> bool:
        """Whether the module has BatchNorm layers and all of them have mean 0 and variance 1."""
        values = {"running_mean": 0.0, "running_var": 1.0}
        found = [(values[n.rpartition(".")[2]], b) for n, b in self.module.named_buffers() if n.endswith(tuple(values))]
        return bool(found) and all(bool((buffer == value).all()) for value, buffer in found)

    def release(self) -> None:
        """Drops the copies in other precisions."""
        self._modules.clear()
        self._kept.clear()

    @contextmanager
    def _computing(self, module: nn.Module, dtype: str) -> Iterator[None]:
        """Everything inside computes in `dtype`, in float64 as it is to be read, and begins with states of zeros."""
        with full_precision(module, dtype), self._reading(dtype) or nullcontext(), afresh(module):
            yield

    def _reading(self, dtype: str) -> Widened | None:
        return self._widened if dtype == "float64" else None

    def _in(self, dtype: str) -> nn.Module:
        """The module in `dtype`; in float32 where it only is to believe so."""
        dtype = "float32" if self._reading(dtype) else dtype
        if dtype == OWN and self.exported:
            return self.module
        if dtype not in self._modules:
            # A program's module can neither be copied without warnings nor be put into eval mode, in which it is.
            fresh = self.exported.module() if self.exported else None
            self._modules[dtype] = recast(fresh, dtype) if fresh is not None else in_precision(self.module, dtype)
        return self._modules[dtype]

    def _keeping(self, dtype: str) -> nn.Module:
        """The module in `dtype` with no tensor overwritten, so that each can be compared."""
        dtype = "float32" if self._reading(dtype) else dtype
        if dtype not in self._kept:
            module = self._in(dtype)
            self._kept[dtype] = module if self.exported else without_reuse(module)
        return self._kept[dtype]

    def _layer_of(self, node: fx.Node) -> str:
        """The source layer that a node belongs to; else the path of its module, or its own name."""
        place = self.record.places.get(node.name) if self.record and self.traceable else None
        if place is not None:
            return place.layer
        return str(node.target).replace(".", "/") if node.op == "call_module" else node.name

    @contextmanager
    def _as_tensorflow(self, module: nn.Module, mode: TensorflowConstants | None) -> Iterator[None]:
        """Everything inside computes with TensorFlow's float32 constants; nothing changes without a mode."""
        if mode is None:
            yield
            return
        nodes = module.graph.nodes if isinstance(module, fx.GraphModule) else ()
        layers = {str(node.target): self._layer_of(node) for node in nodes if node.op == "call_module"}
        with float32_attributes(module) as rounded, mode:
            mode.used.update({layers.get(path, path.replace(".", "/")): text for path, text in rounded.items()})
            yield

    def _held(self, inputs: Sequence[Array], module: nn.Module, dtype: str) -> list[torch.Tensor]:
        """The inputs as the module holds them, in the order of the record's ports."""
        if self.record is not None and len(inputs) != len(self.record.inputs):
            raise InvalidInput(f"it takes {len(self.record.inputs)} inputs, not {len(inputs)}", place=self.name)
        device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))
        ports = self.record.inputs if self.record is not None else [None] * len(inputs)
        held = [
            to_held(array, port.order if port else axes.identity(array.ndim)).to(device)
            for array, port in zip(inputs, ports, strict=True)
        ]
        reading = self._reading(dtype)
        if dtype == OWN:
            return [_as_stated(tensor, port) for tensor, port in zip(held, ports, strict=True)]
        return reading.inputs(held) if reading else held

    def _call(self, run: Callable[..., Any], module: nn.Module, tensors: Sequence[torch.Tensor]) -> Any:
        """Calls the module, or what runs it, with its arguments nested and named as it takes them."""
        if _is_exported(module):
            spec: Any = getattr(module, "_in_spec", None)
            ports = self.record.inputs if self.record is not None else ()
            taken = list(tensors)
            for tensor, place in zip(tensors, self._places(ports), strict=False):
                taken[place] = tensor
            args, kwargs = pytree.tree_unflatten(taken, spec) if spec is not None else (taken, {})
            return run(*args, **kwargs)
        args, kwargs = self._arguments(tensors)
        return run(*args, **kwargs)

    def _arguments(self, tensors: Sequence[torch.Tensor]) -> tuple[Sequence[Any], dict[str, torch.Tensor]]:
        """The arguments of a module that is called with the other side's inputs: by name, or in order.

        A single argument that stands for several tensors is a dict where they are named after it, else a list.
        """
        if not self.assumed or self.record is None or len(tensors) < 2:
            return tensors, {}
        names = [port.name for port in self.record.inputs]
        known = inspect.signature(self.module.forward).parameters
        if set(names) <= set(known):
            return (), dict(zip(names, tensors, strict=True))
        needed = [name for name, item in known.items() if item.default is item.empty]
        if len(known) > 1 or len(needed) != 1 or any(item.kind is item.VAR_POSITIONAL for item in known.values()):
            return tensors, {}
        if all(name.startswith(f"{needed[0]}_") for name in names) and not names[0].rpartition("_")[2].isdigit():
            return ({name.removeprefix(f"{needed[0]}_"): t for name, t in zip(names, tensors, strict=True)},), {}
        return (list(tensors),), {}

    def _finished(self, result: Any) -> tuple[Named, ...]:
        pairs = [(path, value) for path, value in leaves(result) if isinstance(value, torch.Tensor)]
        if self.record is None:
            return tuple(Named(path or "output", to_written(value, ())) for path, value in pairs)
        ports = dict(leaves(self.record.outputs))
        if not ports:
            return tuple(Named(path or "output", to_written(value, self._by_rank(value))) for path, value in pairs)
        if len(ports) != len(pairs):
            raise InvalidInput(f"it returned {len(pairs)} tensors, its record tells of {len(ports)}", place=self.name)
        by_path = set(ports) == {path for path, _ in pairs}
        found = [ports[path] for path, _ in pairs] if by_path else list(ports.values())
        return tuple(self._named(path, value, port) for (path, value), port in zip(pairs, found, strict=True))

    def _by_rank(self, value: torch.Tensor) -> axes.Order:
        """The order of an output of which nothing is known: that of an image where the inputs are images."""
        turned = self.record is not None and any(not axes.is_identity(port.order) for port in self.record.inputs)
        return axes.channels_first(value.dim()) if turned and value.dim() > 3 else axes.identity(value.dim())

    def _named(self, path: str, value: torch.Tensor, port: Port) -> Named:
        use_path = path and not path.replace("/", "").isdigit()
        order = fitting(tuple(value.shape), port) if self.assumed else port.order
        return Named(path if use_path else port.name, to_written(value, order))


def _as_stated(tensor: torch.Tensor, port: Port | None) -> torch.Tensor:
    """A floating-point tensor in the type that the module's source takes."""
    dtype = getattr(torch, port.dtype) if port is not None else tensor.dtype
    return tensor.to(dtype) if tensor.is_floating_point() and dtype.is_floating_point else tensor


def fitting(shape: tuple[int, ...], port: Port) -> axes.Order:
    """The order in which a tensor of this shape is held: the port's own where it fits, else one that does."""
    rank = len(shape)
    for order in (port.order, axes.identity(rank), axes.channels_first(rank), axes.channels_last(rank)):
        if len(order) == rank == len(port.shape):
            written = axes.apply(shape, axes.inverse(order))
            if all(want in (None, size) for want, size in zip(port.shape, written, strict=True)):
                return order
    return port.order if len(port.order) == rank else axes.identity(rank)


def _fixed(size: Any) -> int | None:
    """A size, None where it is known only at run time."""
    return size if isinstance(size, int) else None


def _narrowed(feed: Feed, stated: Feed, port: Port) -> Feed:
    """The feed with the sizes that the program fixes."""
    if len(stated.shape) != len(port.order):
        return feed
    sizes = axes.apply(stated.shape, axes.inverse(port.order))
    return replace(feed, shape=tuple(a if a is not None else b for a, b in zip(feed.shape, sizes, strict=True)))


def _is_exported(module: nn.Module) -> bool:
    """Whether it is the module of an exported program: its nodes are ATen calls, its arguments nested by a spec."""
    return isinstance(module, fx.GraphModule) and hasattr(module, "_in_spec")


class _Listening(fx.Interpreter):
    """Hands every node to a listener before it runs, and its value to another after."""

    def __init__(
        self,
        module: fx.GraphModule,
        before: Callable[[fx.Node], None] = lambda node: None,
        after: Callable[[fx.Node, Any], None] = lambda node, value: None,
    ) -> None:
        super().__init__(module)
        self.before, self.after = before, after

    def run_node(self, n: fx.Node) -> Any:
        self.before(n)
        value = super().run_node(n)
        self.after(n, value)
        return value


@contextmanager
def _foreign_errors(name: str, dtype: str) -> Iterator[None]:
    """Translates torch's errors."""
    try:
        yield
    except (RuntimeError, TypeError, IndexError, NotImplementedError) as error:
        text = str(error).strip().partition("\n")[0]
        if dtype == "float64":
            raise NoKernel(f"torch cannot run it in float64: {text}", place=name) from error
        raise InvalidInput(f"torch cannot run it: {text}", place=name, remedy="check the inputs") from error
