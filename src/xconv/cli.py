"""The command `xconv`: convert, verify and inspect models. It reads arguments, calls, and prints.

Exit codes: 0 match or done, 1 the two models differ, 2 bad input, 3 something in the model is not supported.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import xconv
from xconv.cli_bench import bench
from xconv.cli_layers import layers
from xconv.cli_output import print_json as _print_json
from xconv.cli_output import say as _say
from xconv.cli_output import warn as _warn
from xconv.cli_zoo import zoo
from xconv.errors import InvalidInput, Problem, Unsupported, XConvError, XConvWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xconv.keras.records import KerasModel
    from xconv.report.records import Report
    from xconv.torch.record import Record

__all__ = ["app", "main"]

TORCH_PROGRAMS, TORCH_WEIGHTS = (".pt2", ".safetensors"), (".pt", ".pth")
DIFFERS, BAD_INPUT, UNSUPPORTED, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    help="Converts neural networks between Keras and PyTorch exactly, both ways, and proves it.",
    epilog="Exit codes: 0 match or done, 1 the models differ, 2 bad input, 3 unsupported.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(zoo, name="zoo")
app.command("bench")(bench)
app.command("layers")(layers)


class InputLayout(StrEnum):
    """How images are taken."""

    FIRST = "channels_first"
    LAST = "channels_last"


class Route(StrEnum):
    """What a conversion goes through."""

    DIRECT = "direct"
    ONNX = "onnx"


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only; the exit code tells the rest.")]
ModelArgument = Annotated[
    Path,
    typer.Argument(
        help="From Keras: a .keras, .h5 or .weights.h5 file. From PyTorch: a .pt2 file, or a .safetensors file that "
        "xconv wrote. An .onnx file.",
        show_default=False,
    ),
]
LayoutOption = Annotated[
    InputLayout | None,
    typer.Option(
        "--input-layout",
        help="How images are taken and returned; by default channels_first in PyTorch, channels_last in Keras.",
        show_default=False,
    ),
]
WeightsOption = Annotated[Path | None, typer.Option("--weights", help="Weights for a MODEL that is a configuration.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The configuration of a MODEL that is weights alone.")
]


@app.command()
def convert(
    model: ModelArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="For PyTorch: .safetensors, .pt2 or .pt. For Keras: .keras. From both: .onnx.",
            show_default=False,
        ),
    ],
    input_layout: LayoutOption = None,
    weights: WeightsOption = None,
    config: ConfigOption = None,
    verify: Annotated[bool, typer.Option(help="Compare the result with the source before it is saved.")] = False,
    strict: Annotated[bool, typer.Option(help="Refuse NaN, infinities and negative variances in the weights.")] = False,
    route: Annotated[Route, typer.Option(help="onnx goes through ONNX, and says what it loses.")] = Route.DIRECT,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="From Keras: another dtype policy for all layers, such as float32.")
    ] = None,
    dequantize: Annotated[
        bool, typer.Option("--dequantize", help="From Keras: quantised layers as the float layers they stand for.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Convert a Keras model file to a PyTorch file, or a PyTorch program to a .keras file, as the suffixes say.

    .safetensors holds weights, graph and the record of the conversion; .pt2 is an exported program; .pt is the
    state_dict alone. A .keras file is written without Keras; only --verify needs it.
    """
    to_keras = _writes_keras(model, output, weights or config)
    numbers = {"dtype": dtype, "dequantize": dequantize}
    task = _Task(model, output, input_layout or _layout(to_keras), verify, strict, route is Route.ONNX, numbers)
    if any(numbers.values()) and (to_keras or task.through_onnx or ".onnx" in (model.suffix, output.suffix)):
        raise InvalidInput("--dtype and --dequantize are for a Keras model that becomes a file of torch")
    with _steps(as_json or quiet) as step:
        step(f"converting {model.name}")
        if output.suffix == ".onnx":
            done = _to_onnx(task, input_layout, step)
        else:
            done = _to_keras(task, step) if to_keras else _to_torch(task, weights, config, step)
    for problem in done.found:
        _warn(f"warning: {problem}")
    if as_json:
        _print_json(done.summary(output))
    elif not quiet:
        _say(str(done.report) if done.report else "", done.sentence(output))
    if not done.written:
        raise typer.Exit(DIFFERS)


@app.command()
def verify(
    a: Annotated[
        Path, typer.Argument(help="A model file: .keras, .h5, .safetensors, .pt2 or .onnx.", show_default=False)
    ],
    b: Annotated[Path, typer.Argument(help="The model file to compare it with.", show_default=False)],
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Compare every layer, not only the outputs.")] = False,
    seed: Annotated[int, typer.Option(help="The seed of the inputs.")] = 0,
    witness: Annotated[
        str | None, typer.Option("--witness", help="onnxruntime: a third opinion on which of the two is off.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run two models on the same inputs, in float64 and float32, and compare. Exit code 0: match, 1: none proved."""
    with _steps(as_json or quiet) as step:
        step(f"comparing {a.name} with {b.name}")
        report = xconv.verify(a, b, per_layer=per_layer, seed=seed, witness=witness)
    if as_json:
        _say(report.to_json())
    elif not quiet:
        _say(str(report))
    if not report.ok:
        raise typer.Exit(DIFFERS)


@app.command()
def diagnose(
    a: Annotated[Path, typer.Argument(help="What the other model should be: .keras, .h5, .pt2 or .safetensors.")],
    b: Annotated[Path, typer.Argument(help="The model that differs.")],
    input_shape: Annotated[
        str | None, typer.Option("--input-shape", help="Without the batch, channels first, such as 3,224,224.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of the inputs.")] = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say why two models differ: causes, places, measured effects, remedies. Exit code 0: they agree, 1: not."""
    with _steps(as_json or quiet) as step:
        step(f"diagnosing {a.name} against {b.name}")
        found = xconv.diagnose(a, b, input_shape=_sizes(input_shape), seed=seed)
    if as_json:
        _say(found.to_json())
    elif not quiet:
        _say(str(found))
    if not found.agree:
        raise typer.Exit(DIFFERS)


@app.command()
def transfer(
    source: Annotated[
        Path,
        typer.Argument(
            help="Where the weights come from: the file of a model (.keras, .h5, .pt2, or a .safetensors file that "
            "xconv wrote) or of weights alone (.weights.h5, .h5, .safetensors, .pt, .pth, .bin).",
            show_default=False,
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(
            help="The file of the model that gets them: .keras, .h5, .pt2, .safetensors. With --map the file to write.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: .safetensors, .pt or .pth; .weights.h5, .h5 or .keras. Without it, TARGET itself.",
            show_default=False,
        ),
    ] = None,
    architecture: Annotated[
        Path | None,
        typer.Option("--architecture", help="The file of the model that a SOURCE of weights alone belongs to."),
    ] = None,
    replayed: Annotated[
        Path | None, typer.Option("--map", help="Follow a saved map: no model is read, built or compared.")
    ] = None,
    save_map: Annotated[Path | None, typer.Option("--save-map", help="Write the mapping that was found.")] = None,
    which: Annotated[str, typer.Option(help="Of several sets of weights in a torch file: ema, or an entry.")] = "",
    inference_only: Annotated[
        bool, typer.Option("--inference-only", help="Also fold what is exact in inference alone.")
    ] = False,
    rotate: Annotated[bool, typer.Option("--rotate", help="Turn kernels, and from then on images, by 180.")] = False,
    swap_channels: Annotated[bool, typer.Option("--swap-channels", help="Between RGB and BGR.")] = False,
    strict: Annotated[bool, typer.Option(help="Refuse where the two models are not the same function.")] = True,
    adapt: Annotated[bool, typer.Option("--adapt", help="Change the target's settings; for live models only.")] = False,
    input_shape: Annotated[
        str | None, typer.Option("--input-shape", help="Without the batch, channels first, such as 3,224,224.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Move weights from one model into another existing one, file to file. Exit code 1: what was moved is not all."""
    with _steps(as_json or quiet) as step:
        step(f"moving {source.name} into {target.name}")
        if replayed is not None:
            if inference_only or rotate or swap_channels or adapt or save_map is not None:
                remedy = "leave out the options of planning"
                raise InvalidInput("--map follows what was planned before", place=str(replayed), remedy=remedy)
            model = None if output is None else target
            done = xconv.apply_map(
                replayed, source, output or target, architecture=model, config=architecture, which=which, strict=strict
            )
        else:
            done = xconv.transfer(
                source,
                output or _in_place(target),
                architecture=(architecture, target),
                which=which,
                inference_only=inference_only,
                rotate=rotate,
                swap_channels=swap_channels,
                strict=strict,
                adapt=adapt,
                input_shape=_sizes(input_shape),
            )
            if save_map is not None:
                done.save_map(save_map)
    if as_json:
        _print_json({"output": str(output or target), **done.to_dict()})
    elif not quiet:
        _say(str(done), f"{output or target}: {done.numbers:,} numbers")
    if not done.ok:
        raise typer.Exit(DIFFERS)


def _in_place(target: Path) -> Path:
    """The target as the file to write, where its model would still be in it.

    Raises:
        InvalidInput: a file of torch, which would hold weights alone from then on.
    """
    if target.suffix.lower() in (".keras", ".h5"):
        return target
    raise InvalidInput("cannot be given other weights in place", place=str(target), remedy="name a file with -o")


def _sizes(text: str | None) -> tuple[int, ...] | None:
    """The sizes that a text such as 3,224,224 names.

    Raises:
        InvalidInput: something else.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InvalidInput(f"--input-shape {text!r} names no sizes", remedy="write them as 3,224,224")
    return tuple(int(part) for part in parts)


@app.command()
def inspect(
    model: ModelArgument,
    input_layout: LayoutOption = None,
    weights: WeightsOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what a conversion would do with each layer, before anything is converted. Exit code 3: it cannot be."""
    with _steps(as_json or quiet) as step:
        step(f"reading {model.name}")
        layout = input_layout or _layout(model.suffix in TORCH_PROGRAMS)
        found = xconv.inspect(model, input_layout=layout.value, weights=weights, config=config)
    if as_json:
        _print_json(found.to_dict())
    elif not quiet:
        console = Console()
        if console.is_terminal:
            console.print(found)
        else:
            _say(str(found))
    if not found.ok:
        raise typer.Exit(UNSUPPORTED)


def _version(wanted: bool) -> None:
    if wanted:
        _say(f"xconv {xconv.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Converts neural networks between Keras and PyTorch exactly, both ways, and proves it."""


def main() -> None:
    """Runs the command and exits with its code; errors of xconv are one message on stderr."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of one call of the command."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning  # type: ignore[assignment]
        try:
            app(arguments, prog_name="xconv")
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else BAD_INPUT
        except KeyboardInterrupt:
            return INTERRUPTED
        except XConvError as error:
            _warn(f"xconv: {error}")
            return UNSUPPORTED if isinstance(error, Unsupported) else BAD_INPUT
    return 0


@contextmanager
def _steps(silent: bool) -> Iterator[Callable[[str], None]]:
    """Shows on a terminal's stderr what is being done, and for how long; gives the function that names each step."""
    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield lambda text: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda text: progress.update(task, description=text)


@dataclass(frozen=True, slots=True)
class _Task:
    """One conversion that is asked for."""

    model: Path
    output: Path
    layout: InputLayout
    verify: bool
    strict: bool
    through_onnx: bool = False
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """What `keras_to_torch` is told of dtypes."""

    def check(self, found: Sequence[Problem]) -> None:
        """Refuse weights that no trained network has, where that is asked for."""
        if self.strict and found:
            raise xconv.InvalidInput(f"{self.model} holds weights that no trained network has", problems=found)


@dataclass(frozen=True, slots=True)
class _Done:
    """One conversion that was made."""

    source: str
    inputs: tuple[Mapping[str, Any], ...]
    parameters: int
    notes: tuple[str, ...]
    found: tuple[Problem, ...]
    report: Report | None

    @property
    def written(self) -> bool:
        """Whether there is a file: not where the verification failed."""
        return self.report is None or self.report.ok

    def summary(self, output: Path) -> dict[str, Any]:
        """What was written, as plain data."""
        return {
            "output": str(output) if self.written else None,
            "source": self.source,
            "inputs": list(self.inputs),
            "parameters": self.parameters,
            "notes": list(self.notes),
            "weights": [asdict(problem) for problem in self.found],
            "report": None if self.report is None else json.loads(self.report.to_json()),
        }

    def sentence(self, output: Path) -> str:
        """What was written, in one line."""
        if not self.written:
            found = self.report and self.report.verdict
            return f"nothing was written: the result was not found the same as its source ({found})"
        verdict = f"; verified: {self.report.verdict}" if self.report is not None else ""
        return f"{output}: {self.parameters:,} parameters{verdict}"


def _writes_keras(model: Path, output: Path, keras_only: Path | None) -> bool:
    """Whether a torch source becomes a `.keras` file; otherwise a Keras source becomes a torch file.

    Raises:
        InvalidInput: suffixes between which there is nothing to convert.
    """
    from_torch, to_keras = model.suffix in (*TORCH_PROGRAMS, *TORCH_WEIGHTS), output.suffix == ".keras"
    if model.suffix in TORCH_WEIGHTS:
        what, remedy = "holds weights and no graph", "give a .pt2 file, which torch.export.save writes"
        raise xconv.InvalidInput(what, place=str(model), remedy=remedy)
    if not to_keras and output.suffix not in (*TORCH_PROGRAMS, *TORCH_WEIGHTS, ".onnx"):
        remedy = "use .keras or .onnx" if from_torch else "use .safetensors, .pt2, .pt or .onnx"
        raise xconv.InvalidInput(f"the suffix {output.suffix!r} names no format", place=str(output), remedy=remedy)
    if model.suffix == output.suffix == ".onnx":
        raise xconv.InvalidInput(f"{model.name} and {output.name} are both ONNX", remedy="write another file")
    if from_torch != to_keras and ".onnx" not in (model.suffix, output.suffix):
        side, remedy = (
            ("PyTorch", "write a .keras file") if from_torch else ("Keras", "write .safetensors, .pt2 or .pt")
        )
        raise xconv.InvalidInput(f"{model.name} and {output.name} are both of {side}", remedy=remedy)
    if (from_torch or ".onnx" in (model.suffix, output.suffix)) and keras_only is not None:
        remedy = f"leave them out: {model.name} holds its own"
        raise xconv.InvalidInput("--weights and --config belong to a Keras model", remedy=remedy)
    return to_keras


def _layout(keras: bool) -> InputLayout:
    """The framework's own way of holding images."""
    return InputLayout.LAST if keras else InputLayout.FIRST


def _to_torch(task: _Task, weights: Path | None, config: Path | None, step: Callable[[str], None]) -> _Done:
    """A Keras file to a torch file."""
    if task.through_onnx or task.model.suffix == ".onnx":
        from xconv.cli_onnx import module_of

        module = module_of(task.model, task.layout.value, through=task.through_onnx)
    else:
        options = {"weights": weights, "config": config, **task.numbers}
        module = xconv.keras_to_torch(task.model, input_layout=task.layout.value, **options)
    found = xconv.weights_report(module)
    task.check(found)
    report = None
    if task.verify:
        step("verifying")
        report = xconv.verify(task.model, module)
    if report is None or report.ok:
        step(f"writing {task.output.name}")
        xconv.save(module, task.output)
    remembered = xconv.record(module)
    count = sum(tensor.numel() for tensor in module.parameters())
    return _done(remembered, count, found, report, remembered.source)


def _to_keras(task: _Task, step: Callable[[str], None]) -> _Done:
    """A torch program to a `.keras` file."""
    from xconv.api import for_keras, read_torch
    from xconv.atomic import replacing
    from xconv.keras import write_file
    from xconv.keras.depth import advice
    from xconv.keras.model_order import deepest
    from xconv.keras.origin import record_of
    from xconv.keras.write import records_of
    from xconv.torch.values import findings_in

    source = xconv.load(task.model) if task.model.suffix == ".safetensors" else task.model
    if task.through_onnx or task.model.suffix == ".onnx":
        from xconv.cli_onnx import graph_of

        read = graph_of(task.model, through=task.through_onnx)
    else:
        read = read_torch(source)
    graph = replace(for_keras(read, task.layout.value), name=task.model.stem)
    records = records_of(graph)
    if too_deep := advice(deepest(records)):
        _warn(f"warning: {too_deep}")
    found = findings_in(records.arrays)
    task.check(found)
    report = None
    try:
        with replacing(task.output) as temporary:
            step(f"writing {task.output.name}")
            write_file(records, temporary)
            if task.verify:
                step("verifying")
                report = _verified(task.model, temporary)
    except _Differs as differs:
        report = differs.report
    return _done(record_of(graph, records, task.layout.value), _count(records), found, report, str(task.model))


def _to_onnx(task: _Task, layout: InputLayout | None, step: Callable[[str], None]) -> _Done:
    """A Keras or torch file to an `.onnx` file."""
    from xconv.cli_onnx import export

    found = export(task.model, task.output, layout and layout.value, step, verify=task.verify)
    return _Done(str(task.model), found.inputs, found.parameters, (), (), found.report)


def _done(remembered: Record, count: int, found: tuple[Problem, ...], report: Report | None, source: str) -> _Done:
    return _Done(source, tuple(map(asdict, remembered.inputs)), count, remembered.notes, found, report)


def _count(records: KerasModel) -> int:
    """The numbers in the weights, statistics included, as Keras counts them."""
    return sum(prod(weight.shape) for entry in records.entries for weight in entry.weights)


class _Differs(Exception):
    """What was written is not the same function, so the file is not kept."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


def _verified(model: Path, written: Path) -> Report:
    """The comparison of a torch program with a `.keras` file, which Keras itself loads."""
    from xconv.frameworks import require
    from xconv.keras.depth import loaded

    require("keras", "keras", "--verify")
    report = xconv.verify(model, loaded(written))
    if not report.ok:
        raise _Differs(report)
    return report


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """xconv's own warnings without the place in the code; others, which are not the user's, only where asked for."""
    if issubclass(category, XConvWarning):
        _warn(f"warning: {message}")
    elif sys.warnoptions:
        sys.stderr.write(warnings.formatwarning(message, category, *place[:2]))
