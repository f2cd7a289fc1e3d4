"""What changes the whole process. It is done here, at a command's start: to import a module changes nothing."""

import ctypes
import logging
import sys
import warnings

import cv2
import PIL.Image

SWITCH_INTERVAL_S = 0.0005  # with Python's 5 ms a busy thread keeps the decoders waiting for the GIL

M_TRIM_THRESHOLD = -1  # malloc.h
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
TRIM_BYTES = 512 * 1024 * 1024
MMAP_BYTES = 32 * 1024 * 1024  # the most that glibc takes on 64 bits; a 4K frame in BGR has 25 MB


def prepare() -> None:
    """For each process that works on frames, before it has other threads. Can be called again."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    keep_freed_memory()
    cv2.setNumThreads(1)  # the engine's workers use the cores; OpenCV's own threads only take turns with them
    PIL.Image.MAX_IMAGE_PIXELS = None  # pictures.check_size() in its place: a WebP would be refused at 179 megapixels
    # Odd metadata and malformed forms are answered; whoever runs the daemon need not read of them.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"aiohttp\.multipart")
    # It tells of each attempt at each broker, ten a second in an outage. What matters of them is in our own errors.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def keep_freed_memory() -> bool:
    """Makes glibc keep the memory of frames instead of giving it back and faulting it in again, page by page.

    Frames are megabytes that come and go 25 times a second; by default each goes through mmap or trims the heap. With
    these thresholds a loop of decode, conversion and detection takes about 15 % less CPU. All threads share one heap,
    so that what one has freed another takes: with heaps of their own each grows to its own peak, hundreds of megabytes
    in half an hour of eight cameras. False without glibc, and where it did not take all of it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl has none
        return False
    settings = ((M_TRIM_THRESHOLD, TRIM_BYTES), (M_MMAP_THRESHOLD, MMAP_BYTES), (M_ARENA_MAX, 1))
    return all([bool(mallopt(name, value)) for name, value in settings])
