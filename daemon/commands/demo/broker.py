"""The demo's Kafka broker: noida-db, a program in a wheel, as a child process on loopback."""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from daemon.errors import VisagedError

HOST = "127.0.0.1"
START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 5.0
ADVICE = "`--broker HOST:PORT` uses a Kafka broker of your own"


class BrokerError(VisagedError):
    """The embedded broker cannot run."""


@contextlib.asynccontextmanager
async def embedded_broker(port: int = 0, host: str = HOST) -> AsyncIterator[str]:
    """Runs it until the context ends, on a port (0: a free one) that it gives as HOST:PORT. Its data goes with it.

    Raises BrokerError.
    """
    port = port or free_port(host)
    command = await asyncio.to_thread(_command)
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="visaged-broker-"))
    output = folder / "output"
    try:
        process = await _start([*command, "--host", host, "--kafka-port", str(port), "--data-dir", str(folder)], output)
        try:
            await _until_it_answers(process, host, port, output)
            yield f"{host}:{port}"
        finally:
            await _stop(process)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def free_port(host: str = HOST) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _command() -> list[str]:
    """Its program, not the package's own command: that is a Python process which leaves the program behind."""
    package = importlib.util.find_spec("noida_db")
    program = package and package.origin and Path(package.origin).with_name("noida-db")
    if not program or not program.exists():
        raise BrokerError(
            f"the demo's broker is not here: pip install 'visaged[demo]' brings it on Linux x86-64 only; {ADVICE}"
        )
    if not os.access(program, os.X_OK):
        program.chmod(0o755)
    setpriv = shutil.which("setpriv")  # of util-linux: the kernel ends the child when this process dies
    return [*([setpriv, "--pdeathsig", "TERM"] if setpriv else []), str(program), "start", "--only", "kafka"]


async def _start(command: list[str], output: Path) -> asyncio.subprocess.Process:
    file = await asyncio.to_thread(output.open, "wb")
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # a Ctrl-C in the terminal is for visaged, which ends the broker last
        )
    finally:
        file.close()


async def _until_it_answers(process: asyncio.subprocess.Process, host: str, port: int, output: Path) -> None:
    """It says where it listens once it does; that a port is open says little, as it may be another program's."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_TIMEOUT_S):
            while process.returncode is None:
                said = await asyncio.to_thread(output.read_text, errors="replace")
                if f"{host}:{port}" in said:
                    return
                await asyncio.sleep(0.02)
    said = await asyncio.to_thread(output.read_text, errors="replace")
    raise BrokerError(f"the demo's broker did not start: {said.strip()[-500:] or 'it says nothing'}; {ADVICE}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
