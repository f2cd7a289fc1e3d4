import subprocess
import sys
from pathlib import Path

FOUR_FRAMES_OF_25_MB = """
import resource, numpy
from daemon.prepare import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
for turn in range(10):
    if turn == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    frames = [numpy.ones(25_000_000, numpy.uint8) for _ in range(4)]
    del frames
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, keep: bool) -> int:
    """Pages that the kernel gave in seven turns, when memory had been used and freed already."""
    program = FOUR_FRAMES_OF_25_MB.format(keep=keep)
    root = Path(__file__).parents[1]
    return int(subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, check=True).stdout)


def test_frames_that_come_and_go_do_not_fault_their_memory_in_again() -> None:
    assert faults(keep=True) < 1000 < faults(keep=False)
