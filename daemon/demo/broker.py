"""An embedded Kafka-protocol broker: noida-db, a binary of a few MB from its PyPI wheel (Linux on x86-64 only)."""

import asyncio
import contextlib
import ctypes
import importlib.util
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from daemon.errors import VisagedError

HOST = "127.0.0.1"
READY_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 5.0
PR_SET_PDEATHSIG = 1  # prctl.h


class NoBroker(VisagedError):
    """The embedded broker is not to be had, or does not start."""


@contextlib.asynccontextmanager
async def embedded_broker(port: int = 0) -> AsyncIterator[str]:
    """Runs the broker on a port of 127.0.0.1 (0: a free one) with an empty data folder; gives its host:port."""
    port = port or free_port()
    binary = _binary()
    with tempfile.TemporaryDirectory(prefix="visaged-broker-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                binary, "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", f"{folder}/data",
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=_die_with_parent,
            )  # fmt: skip
        try:
            await _ready(process, port, log)
            yield f"{HOST}:{port}"
        finally:
            await _end(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _binary() -> str:
    # The wheel's Python wrapper would leave the server behind when it is killed.
    spec = importlib.util.find_spec("noida_db")
    if spec is None or spec.origin is None:
        raise NoBroker(
            "expected the embedded broker (pip install 'visaged[demo]'; Linux on x86-64 only), found none: "
            "name a broker of your own with --broker HOST:PORT"
        )
    return str(Path(spec.origin).with_name("noida-db"))


def _die_with_parent() -> None:
    """In the child: it ends with us, however we end."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


async def _ready(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_TIMEOUT_S):
            while process.returncode is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(HOST, port)
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(0.05)
    said = log.read_text(errors="replace").strip()  # noqa: ASYNC240  # a few lines, and nothing else runs yet
    raise NoBroker(f"the embedded broker did not answer on {HOST}:{port}: {said[-500:]}")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
