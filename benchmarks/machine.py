"""What a measurement ran on: processor, memory, threads, allocator, versions. Nothing that names the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "context_of", "describe", "in_full", "in_short", "versions"]

ROOT = Path(__file__).resolve().parents[1]
"""The root of the project: where arms are started, relative to which results are stored."""

PACKAGES = ("xconv", "torch", "keras", "tensorflow", "numpy", "h5py", "tf2onnx", "onnx", "onnx2torch", "torchvision")
SHOWN_ENVIRONMENT = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "LD_PRELOAD")


def describe() -> dict[str, Any]:
    """The machine and its software, as plain data."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "allocator": " ".join(platform.libc_ver()) or "unknown",
        "environment": {name: os.environ[name] for name in SHOWN_ENVIRONMENT if name in os.environ},
        "load": round(os.getloadavg()[0], 2),
        "commit": _commit(),
        "versions": versions(*PACKAGES),
    }


def context_of(*packages: str) -> dict[str, Any]:
    """What stands beside every row of a table that grows by and by: versions, commit and the machine in short."""
    facts = describe()
    machine = {key: facts[key] for key in ("processor", "cores", "memory_gib")}
    return {"versions": versions(*packages), "commit": facts["commit"], "machine": machine}


def versions(*packages: str) -> dict[str, str]:
    """The installed version of each package; packages that are absent are left out."""
    found = {package: _version(package) for package in packages}
    return {package: number for package, number in found.items() if number}


def _version(package: str) -> str:
    for name in (package, f"{package}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = _fields(lines)
    return f"{fields.get('model name', platform.machine())} (model {fields.get('model', '?')})"


def _fields(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _commit() -> str:
    """The commit of the checkout, with '+' where files under src differ from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout.strip()


def in_short(machine: dict[str, Any]) -> str:
    """The processor and the memory."""
    return f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB"


def in_full(machine: dict[str, Any]) -> str:
    """Everything that `describe` found."""
    named = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    software = f"{machine['system']}, {machine['allocator']}, Python {machine['python']}, {named}"
    return f"{in_short(machine)} ({software}; load at the start {machine['load']})"
