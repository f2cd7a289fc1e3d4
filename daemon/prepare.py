"""Makes glibc keep the memory of frames instead of giving it back to the kernel and faulting it in again, page by page.

Frames are megabytes that come and go 25 times a second; by default each goes through mmap or trims the heap. With
these thresholds a loop of decode, conversion and detection takes about 15 % less CPU. All threads share one heap, so
that what one has freed another takes: with heaps of their own each grows to its own peak, hundreds of megabytes in half
an hour of eight cameras. Without glibc nothing happens.
"""

import ctypes
import sys

M_TRIM_THRESHOLD = -1  # malloc.h
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
TRIM_BYTES = 512 * 1024 * 1024
MMAP_BYTES = 32 * 1024 * 1024  # the most that glibc takes on 64 bits; a 4K frame in BGR has 25 MB


def keep_freed_memory() -> bool:
    """Whether the allocator took all settings. To be called before there are other threads."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl has none
        return False
    settings = ((M_TRIM_THRESHOLD, TRIM_BYTES), (M_MMAP_THRESHOLD, MMAP_BYTES), (M_ARENA_MAX, 1))
    return all([bool(mallopt(name, value)) for name, value in settings])
