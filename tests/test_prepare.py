import ast
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import PIL.Image
import pytest

from daemon.prepare import prepare
from tests.test_imports import PACKAGES, ROOT, sources

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
    return int(subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True).stdout)


def test_frames_that_come_and_go_do_not_fault_their_memory_in_again() -> None:
    assert faults(keep=True) < 1000 < faults(keep=False)


CHANGES = """
import gc, importlib, logging, signal, sys, threading, warnings
def state():
    yield from (("warnings.filters", entry) for entry in warnings.filters)
    for name, logger in [("root", logging.root), *logging.root.manager.loggerDict.items()]:
        if isinstance(logger, logging.Logger) and (logger.level or logger.filters or logger.handlers):
            yield name, logger.level, logger.filters[:], logger.handlers[:]
    yield "interpreter", sys.getswitchinterval(), sys.getrecursionlimit(), gc.isenabled(), gc.get_threshold()
    yield "cv2", cv2.getNumThreads()
    yield "PIL", PIL.Image.MAX_IMAGE_PIXELS
    yield "hooks", sys.excepthook, threading.excepthook, [signal.getsignal(n) for n in signal.valid_signals()]
    yield "threads", threading.active_count()
{libraries}
import cv2, PIL.Image
before = list(state())
for name in {ours!r}:
    importlib.import_module(name)
print(*(entry for entry in state() if entry not in before), sep="\\n", end="")
"""


def imports_of_libraries() -> list[str]:
    """The statements by which our modules import others': what that changes is not ours to say."""
    bodies = [ast.parse((ROOT / path).read_text(encoding="utf-8")).body for path in sources()]
    nodes = [node for body in bodies for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    statements = {ast.unparse(node) for node in nodes}
    return sorted(statement for statement in statements if not statement.split()[1].startswith(PACKAGES))


def changed_by_importing(*ours: str, path: Path = ROOT) -> list[str]:
    program = CHANGES.format(libraries="\n".join(imports_of_libraries()), ours=ours)
    ran = subprocess.run([sys.executable, "-c", program], cwd=path, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


def test_importing_all_modules_changes_nothing_of_the_process() -> None:
    names = [path.with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".") for path in sources()]
    assert len(names) > 100
    assert changed_by_importing(*(name for name in names if name != "daemon.__main__")) == []


MODULE_THAT_CHANGES_THE_PROCESS = """
import logging, sys, warnings, cv2, PIL.Image
warnings.simplefilter("ignore")
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
logging.getLogger("aiohttp.server").addFilter(print)
sys.setswitchinterval(0.0005)
PIL.Image.MAX_IMAGE_PIXELS = None
cv2.setNumThreads(1)
"""


def test_a_module_that_changes_the_process_is_seen(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE_THAT_CHANGES_THE_PROCESS)
    changed = [ast.literal_eval(line.partition(",")[0][1:]) for line in changed_by_importing("module", path=tmp_path)]
    assert sorted(changed) == ["PIL", "aiohttp.server", "aiokafka", "cv2", "interpreter", "warnings.filters"]


def test_prepared_again_is_as_prepared_once() -> None:
    prepare()
    before = sys.getswitchinterval(), list(warnings.filters), cv2.getNumThreads(), PIL.Image.MAX_IMAGE_PIXELS
    prepare()
    assert before == (sys.getswitchinterval(), warnings.filters, cv2.getNumThreads(), PIL.Image.MAX_IMAGE_PIXELS)
    assert before[0] == pytest.approx(0.0005)
    assert before[2:] == (1, None)
