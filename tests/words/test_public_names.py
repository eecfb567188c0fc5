"""What `import xconv` offers, what it costs, and what it says when a framework is missing."""

import json
import subprocess
import sys
import textwrap

import pytest

import xconv

PUBLIC = {
    "InvalidInput",
    "Mismatch",
    "MissingFramework",
    "Unknown",
    "Unreadable",
    "Unsupported",
    "Unwritable",
    "XConvError",
    "XConvWarning",
    "__version__",
    "apply_map",
    "counterpart",
    "diagnose",
    "export_weights",
    "feature_length",
    "features",
    "inspect",
    "keep_memory",
    "keras_to_onnx",
    "keras_to_torch",
    "load",
    "load_weights",
    "onnx",
    "onnx_to_keras",
    "onnx_to_torch",
    "optimize",
    "preprocessing",
    "randomize",
    "record",
    "register",
    "register_module",
    "register_torch",
    "same_features",
    "save",
    "split_preprocessing",
    "torch_to_keras",
    "torch_to_onnx",
    "transfer",
    "unregister",
    "verify",
    "weights_report",
    "zoo",
}
HEAVY = ["h5py", "keras", "numpy", "rich", "safetensors", "tensorflow", "tf_keras", "torch", "typer"]


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_public_names_are_these() -> None:
    assert set(xconv.__all__) == PUBLIC
    assert set(dir(xconv)) >= PUBLIC


def test_every_public_name_can_be_loaded() -> None:
    missing = run(
        """
        import importlib, xconv
        for name in xconv.__all__:
            if not hasattr(importlib.import_module("xconv"), name):
                print(name)
        from xconv import *
        assert callable(verify) and callable(inspect)
        """
    )
    assert not missing


def test_a_misspelt_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'xconv' has no attribute 'keras_to_toch'"):
        _ = xconv.keras_to_toch
    with pytest.raises(ImportError, match="keras_to_toch"):
        from xconv import keras_to_toch  # noqa: F401


def test_importing_xconv_loads_nothing_heavy() -> None:
    loaded = run(
        """
        import json, sys, xconv
        print(json.dumps(sorted(sys.modules)))
        """
    )
    assert not set(HEAVY) & set(json.loads(loaded))


def test_importing_xconv_takes_less_than_50_ms() -> None:
    code = """
        import time
        start = time.perf_counter()
        import xconv
        print(time.perf_counter() - start)
        """
    assert min(float(run(code)) for _ in range(3)) < 0.05


def test_the_errors_load_nothing_heavy() -> None:
    loaded = run(
        """
        import json, sys
        from xconv import Unsupported, XConvError
        assert issubclass(Unsupported, XConvError)
        print(json.dumps(sorted(sys.modules)))
        """
    )
    assert not set(HEAVY) & set(json.loads(loaded))


BLOCK = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def missing(blocked: set[str], code: str) -> str:
    """The same as `run` where the packages `blocked` are not installed."""
    return run(BLOCK.format(blocked=blocked) + textwrap.dedent(code))


@pytest.mark.parametrize(
    ("package", "extra", "line"),
    [
        ("keras", "keras", 'pip install "xconv[keras]"'),
        ("keras.src.models", "keras", 'pip install "xconv[keras]"'),
        ("torchvision", "zoo", 'pip install "xconv[zoo]"'),
        ("h5py", "", "pip install h5py"),
    ],
)
def test_a_missing_framework_is_one_error_with_its_pip_line(package: str, extra: str, line: str) -> None:
    said = missing(
        {package.partition(".")[0], "torch"},
        f"""
        import xconv
        from xconv.frameworks import require
        try:
            require({package!r}, {extra!r}, "opening a live model")
        except xconv.MissingFramework as error:
            assert isinstance(error, xconv.XConvError) and isinstance(error, ImportError)
            assert len(error.problems) == 1 and isinstance(error.__cause__, ModuleNotFoundError)
            print(error)
        """,
    )
    top = package.partition(".")[0]
    assert said == f"opening a live model needs {top}, which is not installed; {line}"


def test_an_installed_framework_that_is_broken_says_so_itself(tmp_path: object) -> None:
    said = run(
        f"""
        import pathlib, sys
        pathlib.Path({str(tmp_path)!r}, "broken_framework.py").write_text("import its_own_dependency")
        sys.path.insert(0, {str(tmp_path)!r})
        from xconv.frameworks import require
        try:
            require("broken_framework", "keras", "opening a live model")
        except ModuleNotFoundError as error:
            print(type(error).__name__, error.name)
        """
    )
    assert said == "ModuleNotFoundError its_own_dependency"


def test_torch_is_imported_before_tensorflow() -> None:
    said = run(
        """
        import sys, types
        order = []
        class Recorder:
            def find_spec(self, name, path=None, target=None):
                if name in {"torch", "tensorflow"}:
                    order.append(name)
                    sys.modules[name] = module = types.ModuleType(name)
                    from importlib.machinery import ModuleSpec
                    class Loader:
                        def create_module(self, spec): return module
                        def exec_module(self, module): pass
                    del sys.modules[name]
                    return ModuleSpec(name, Loader())
        sys.meta_path.insert(0, Recorder())
        from xconv.frameworks import require
        require("tensorflow", "keras", "a live model")
        print(list(dict.fromkeys(order)))
        """
    )
    assert said == "['torch', 'tensorflow']"
