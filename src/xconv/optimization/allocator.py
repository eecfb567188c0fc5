"""What the C library does with memory that torch frees."""

from __future__ import annotations

import ctypes
import os
import platform

__all__ = ["in_words", "keep_memory"]

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Of mallopt(3)."""
LARGEST = 2**31 - 1
REPLACEMENTS = ("jemalloc", "tcmalloc", "mimalloc")

_told: list[bool] = []
"""What `keep_memory` was answered in this process."""


def keep_memory() -> bool:
    """Lets this process keep the memory of freed tensors, to use it again; whether the C library can be told so.

    glibc asks the system for every large block anew and gives it back when it is freed. The system clears each page
    again, which takes a third to a half of the time of a convolutional network on a CPU. This has the effect of
    MALLOC_MMAP_MAX_=0 and a large MALLOC_TRIM_THRESHOLD_ in the environment. It holds for the whole process until its
    end: what was needed once stays taken. Call it before the first large tensor is made.

    Source: mallopt(3) of the GNU C library.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    done = bool(mallopt(MMAP_MAX, 0)) and bool(mallopt(TRIM_THRESHOLD, LARGEST))
    _told.append(done)
    return done


def in_words() -> str:
    """Which allocator the CPU memory of this process comes from, and whether it keeps what is freed."""
    loaded = os.environ.get("LD_PRELOAD", "")
    for name in REPLACEMENTS:
        if name in loaded:
            return name
    return (
        "memory kept" if any(_told) or os.environ.get("MALLOC_MMAP_MAX_") == "0" else "memory as the C library has it"
    )
