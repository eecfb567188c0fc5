"""What the C library does with memory that torch frees."""

from __future__ import annotations

import ctypes
import platform

__all__ = ["keep_memory"]

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Of mallopt(3)."""
LARGEST = 2**31 - 1


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
    return bool(mallopt(MMAP_MAX, 0)) and bool(mallopt(TRIM_THRESHOLD, LARGEST))
