"""Running the torch side of a verification: a converted module, any nn.Module, or an ExportedProgram."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import fx, nn

from xconv import axes
from xconv.errors import InvalidInput
from xconv.inputs import Feed, leaves
from xconv.keras.walk import Key
from xconv.sides import Named, NoKernel
from xconv.statistics import Array
from xconv.torch.precision import full_precision, in_precision, recast
from xconv.torch.record import KEY, Port, Record
from xconv.torch.reuse import without_reuse
from xconv.torch.tensorflow_constants import TensorflowConstants, float32_attributes
from xconv.torch.trace import Traced, keys_of, to_held, to_written, trace

__all__ = ["TorchSide"]


class TorchSide:
    """A torch module, run in eval mode without gradients and TF32; the user's module is never changed.

    A converted module carries a record: inputs are turned from the source's written layout into the module's own, and
    outputs back. A module without one is taken to be channels-first where the reference is Keras (`images_first`).
    """

    framework = "torch"

    def __init__(self, module: Any, name: str = "") -> None:
        self.exported: Any = module if isinstance(module, torch.export.ExportedProgram) else None
        self.module: nn.Module = self.exported.module() if self.exported else module
        found = getattr(module, "meta", None) or getattr(self.module, "meta", {})
        self.record: Record | None = found.get(KEY) if isinstance(found.get(KEY), Record) else None
        self.name = name or (self.record.source if self.record else type(module).__name__)
        self.notes: list[str] = []
        self.images_first = False
        self._examples = module.example_inputs if self.exported else None
        self._modules: dict[str, nn.Module] = {}
        self._kept: dict[str, nn.Module] = {}

    @cached_property
    def traceable(self) -> bool:
        """Whether the record's nodes are those of the module's graph; an exported program has others."""
        if self.record is None or not isinstance(self.module, fx.GraphModule):
            return False
        return bool(self.record.places) and set(self.record.places) <= {node.name for node in self.module.graph.nodes}

    def feeds(self) -> tuple[Feed, ...]:
        """The inputs that the record, or the example of an ExportedProgram, states; empty where there is neither."""
        if self.record is not None:
            return tuple(Feed(port.name, port.shape, port.dtype) for port in self.record.inputs)
        if self._examples is None:
            return ()
        flat = [tensor for _, tensor in leaves(self._examples) if isinstance(tensor, torch.Tensor)]
        return tuple(
            Feed(f"input_{place}", tuple(t.shape), str(t.dtype).removeprefix("torch.")) for place, t in enumerate(flat)
        )

    def outputs(self, inputs: Sequence[Array], dtype: str) -> tuple[Named, ...]:
        """The outputs in the source's written layout, computed in `dtype`.

        Raises:
            InvalidInput: the module does not take these inputs.
            NoKernel: it takes them in float32, but not in float64.
        """
        module = self._in(dtype)
        with _foreign_errors(self.name, dtype), full_precision(module, dtype):
            return self._finished(module(*self._held(inputs, module)))

    def outputs_as_tensorflow(self, inputs: Sequence[Array]) -> tuple[tuple[Named, ...], dict[str, str]]:
        """The float64 outputs with TensorFlow's float32 constants, and what was rounded, by layer."""
        module, mode = self._in("float64"), TensorflowConstants()

        def announce(node: fx.Node) -> None:
            mode.layer = self._layer_of(node)

        with (
            _foreign_errors(self.name, "float64"),
            full_precision(module, "float64"),
            self._as_tensorflow(module, mode),
        ):
            tensors = self._held(inputs, module)
            run = _Listening(module, before=announce).run if isinstance(module, fx.GraphModule) else module
            result = run(*tensors)
            return self._finished(result), dict(mode.used)

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
            rows = trace(module, self.record, self._held(inputs, module), reference, enter)
            while True:
                with full_precision(module, dtype), self._as_tensorflow(module, constants):
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

            with _foreign_errors(self.name, dtype), full_precision(module, dtype):
                _Listening(module, after=keep).run(*self._held(inputs, module))
            yield from found
        else:
            yield from self._hooked(module, inputs, dtype)

    def _hooked(self, module: nn.Module, inputs: Sequence[Array], dtype: str) -> Iterator[tuple[Key, Array]]:
        found: list[tuple[Key, Array]] = []
        calls: dict[str, int] = {}

        def keep(path: str) -> Callable[..., None]:
            def hook(_module: nn.Module, _args: Any, result: Any) -> None:
                call = calls[path] = calls.get(path, -1) + 1
                for place, (_, value) in enumerate(leaves(result)):
                    if isinstance(value, torch.Tensor):
                        found.append((Key(path.replace(".", "/"), call, place), value.detach().cpu().numpy()))

            return hook

        innermost = [(path, child) for path, child in module.named_modules() if not list(child.children()) and path]
        handles = [child.register_forward_hook(keep(path)) for path, child in innermost]
        try:
            with _foreign_errors(self.name, dtype), full_precision(module, dtype):
                module(*self._held(inputs, module))
        finally:
            for handle in handles:
                handle.remove()
        yield from found

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

    def _in(self, dtype: str) -> nn.Module:
        if dtype not in self._modules:
            # A program's module can neither be copied without warnings nor be put into eval mode, in which it is.
            fresh = self.exported.module() if self.exported else None
            self._modules[dtype] = recast(fresh, dtype) if fresh is not None else in_precision(self.module, dtype)
        return self._modules[dtype]

    def _keeping(self, dtype: str) -> nn.Module:
        """The module in `dtype` with no tensor overwritten, so that each can be compared."""
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

    def _order(self, place: int, rank: int) -> axes.Order:
        if self.record is not None:
            return self.record.inputs[place].order
        return axes.channels_first(rank) if self.images_first and rank > 3 else axes.identity(rank)

    def _held(self, inputs: Sequence[Array], module: nn.Module) -> list[torch.Tensor]:
        if self.record is not None and len(inputs) != len(self.record.inputs):
            raise InvalidInput(f"it takes {len(self.record.inputs)} inputs, not {len(inputs)}", place=self.name)
        device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))
        return [to_held(array, self._order(place, array.ndim)).to(device) for place, array in enumerate(inputs)]

    def _finished(self, result: Any) -> tuple[Named, ...]:
        pairs = [(path, value) for path, value in leaves(result) if isinstance(value, torch.Tensor)]
        ports = [port for _, port in leaves(self.record.outputs)] if self.record else [None] * len(pairs)
        if len(ports) != len(pairs):
            raise InvalidInput(f"it returned {len(pairs)} tensors, its record tells of {len(ports)}", place=self.name)
        return tuple(self._named(path, value, port) for (path, value), port in zip(pairs, ports, strict=True))

    def _named(self, path: str, value: torch.Tensor, port: Port | None) -> Named:
        value = value.detach()
        if port is not None:
            use_path = path and not path.replace("/", "").isdigit()
            return Named(path if use_path else port.name, to_written(value, port.order))
        turned = self.images_first and value.dim() > 3
        order = axes.channels_first(value.dim()) if turned else axes.identity(value.dim())
        return Named(path or "output", to_written(value, order))


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
    except (RuntimeError, TypeError, NotImplementedError) as error:
        text = str(error).strip().partition("\n")[0]
        if dtype == "float64":
            raise NoKernel(f"torch cannot run it in float64: {text}", place=name) from error
        raise InvalidInput(f"torch cannot run it: {text}", place=name, remedy="check the inputs") from error
