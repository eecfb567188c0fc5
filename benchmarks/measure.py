"""How things are measured: arms in processes of their own, peak memory, medians with their spread."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT

__all__ = ["PeakMemory", "Timing", "answer", "answer_arm", "run_arm", "spent", "summary"]

MARK = "benchmark answer: "
QUIET = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONWARNINGS": "ignore",
    "PYTHONDONTWRITEBYTECODE": "",  # an installed package has its bytecode; a checkout gets it in the first process
}


def run_arm(
    module: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    timeout: float = 3600,
    memory: int | None = None,
    interpreter: str = sys.executable,
) -> dict[str, Any]:
    """What `python -m module arguments` answers, run in a process of its own from the root of the project.

    The result holds `wall_seconds`, start and end of the process included. An arm that fails, is killed, takes longer
    than `timeout` seconds or has more than `memory` bytes resident has an "error", its last line, beside what it had
    answered until then.
    """
    command = [interpreter, "-m", module, *arguments]
    variables = {**os.environ, **QUIET, **(environment or {})}
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watch = _Watch(process, memory)
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            return {**_last_answer(process.communicate()[0]), "error": f"not finished in {timeout:.0f} s"}
        finally:
            watch.stop()
    wall = time.perf_counter() - start
    if watch.exceeded:
        return {"error": f"needs more than {memory or 0:,} bytes of memory"}
    if process.returncode:
        return {**_last_answer(output), "error": _reason(process.returncode, errors)}
    return {**_last_answer(output), "wall_seconds": wall}


def _last_answer(output: str) -> dict[str, Any]:
    """What the arm answered last; it may answer several times, more each time."""
    answers = [line.removeprefix(MARK) for line in output.splitlines() if line.startswith(MARK)]
    found: dict[str, Any] = json.loads(answers[-1]) if answers else {}
    return found


class _Watch:
    """Ends a process whose resident memory grows beyond a limit; Linux only, elsewhere nothing is watched."""

    def __init__(self, process: subprocess.Popen[str], memory: int | None) -> None:
        self.exceeded = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(process, memory), daemon=True)
        if memory is not None and sys.platform == "linux":
            self._thread.start()

    def _run(self, process: subprocess.Popen[str], memory: int) -> None:
        while not self._over.wait(0.2) and process.poll() is None:
            if _resident(process.pid) > memory:
                self.exceeded = True
                process.kill()

    def stop(self) -> None:
        """Stops watching."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()


def _resident(process: int) -> int:
    """The resident bytes of a process; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def _reason(code: int, errors: str) -> str:
    """Why a process failed: its signal, or the message of its exception."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    lines = [line for line in errors.strip().splitlines() if line.strip()] or ["no message"]
    last = max((place for place, line in enumerate(lines) if line.startswith("Traceback")), default=-1)
    raised = [line for line in lines[last + 1 :] if not line.startswith((" ", "I0000", "W0000", "E0000"))]
    return " ".join(raised or lines[-1:]).replace(str(ROOT), ".")[:600]


def answer(values: Mapping[str, Any]) -> None:
    """Prints what an arm found, for `run_arm` to read."""
    print(MARK + json.dumps(values), flush=True)


def answer_arm(arms: Mapping[str, Callable[..., Mapping[str, Any]]]) -> None:
    """Runs the arm that the command line names on a network, a folder and what else it gives, and prints its answer."""
    arm, network, folder, *rest = sys.argv[1:]
    answer(arms[arm](network, Path(folder), *rest))


class PeakMemory:
    """The largest resident memory since it was made, above what was held then, in bytes.

    Where Linux lets the mark be reset (/proc/self/clear_refs), memory that was used and freed before does not count.
    """

    def __init__(self) -> None:
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps would be used again without being seen
            Path("/proc/self/clear_refs").write_text("5")
        self.start = _highest()

    def above(self) -> int:
        """Bytes above the start."""
        return max(_highest() - self.start, 0)


def _highest() -> int:
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@dataclass(frozen=True, slots=True)
class Timing:
    """Repeated seconds: the median, and the tenth and ninetieth percentile beside it."""

    median: float
    low: float
    high: float
    count: int

    def to_dict(self) -> dict[str, float]:
        """Plain data for JSON."""
        return {"median": self.median, "low": self.low, "high": self.high, "count": self.count}


def summary(seconds: Sequence[float]) -> Timing:
    """The median and the spread of repeated measurements.

    >>> summary([3.0, 1.0, 2.0]).median
    2.0
    """
    ordered = sorted(seconds)
    tenth = (len(ordered) - 1) // 10
    return Timing(statistics.median(ordered), ordered[tenth], ordered[-1 - tenth], len(ordered))


def spent(start: float) -> float:
    """Seconds since `start`, a reading of time.perf_counter."""
    return time.perf_counter() - start
