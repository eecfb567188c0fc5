"""Dependencies point one way: what states a meaning knows no framework, and nobody imports from above."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "xconv"
FRAMEWORKS = {"keras", "tensorflow", "tf_keras", "torch", "onnx"}

# From the ground up; a module imports from its own floor and from those below.
FLOORS = [
    {
        "errors",
        "atomic",
        "axes",
        "collector",
        "padding",
        "policies",
        "weights",
        "spec",
        "graph",
        "frameworks",
        "inputs",
        "lazy",
        "scratch",
        "kernel_matrices",
        "kernels",
        "statistics",
    },
    {"layers", "layout", "passes", "registry"},
    {"keras", "torch", "onnx", "sides"},
    {"gains", "randomization", "inspection", "preprocessing", "verification", "report"},
    {"alignment", "causes", "comparison", "diagnosis", "extraction", "optimization", "probing", "transfers"},
    {"zoo"},
    {"api", "support"},
    {"cli"},
]
MODULES = sorted(SOURCE.rglob("*.py"))


def floor(name: str) -> int | None:
    """The floor of a module by the first part of its name inside xconv."""
    return next((i for i, names in enumerate(FLOORS) if name in names), None)


def inside(path: Path) -> str:
    """The first part of a file's name inside xconv."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """The full names of what a module imports when it is loaded: not inside functions, not for types only."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module="xconv"):
                yield from (f"xconv.{alias.name}" for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                yield module
            case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.FunctionDef() | ast.AsyncFunctionDef():
                continue
            case _:
                yield from imports(node)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_from_below(path: Path) -> None:
    own = inside(path)
    if own in {"__init__", "__main__"}:
        return
    assert floor(own) is not None, f"{own} stands on no floor: add it to FLOORS and to docs/architecture.md"
    for name in imports(ast.parse(path.read_text())):
        if name.startswith("xconv."):
            other = name.split(".")[1]
            assert (floor(other) or 0) <= floor(own), f"{own} imports {name} from above"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_what_states_a_meaning_knows_no_framework(path: Path) -> None:
    if (floor(inside(path)) or 0) < 2 and inside(path) not in {"__init__", "__main__"}:
        used = {name.partition(".")[0] for name in imports(ast.parse(path.read_text()))}
        assert not used & FRAMEWORKS


def test_only_the_torch_side_needs_torch_to_be_imported() -> None:
    """The Keras side, live models included, is imported without any framework."""
    for path in (SOURCE / "keras").rglob("*.py"):
        used = {name.partition(".")[0] for name in imports(ast.parse(path.read_text()))}
        assert not used & (FRAMEWORKS - {"torch"}), path.name
