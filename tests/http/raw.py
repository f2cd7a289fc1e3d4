"""Requests byte by byte, as no client library sends them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pydantic_core

from daemon.http.server import HttpServer

SECONDS = 10


class Wire:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers by lower-case name, and the JSON of the body; the connection may stay."""
        async with asyncio.timeout(SECONDS):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
            }
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, pydantic_core.from_json(body) if body else None

    async def rest(self) -> bytes:
        """All until the server closes."""
        async with asyncio.timeout(SECONDS):
            with contextlib.suppress(ConnectionResetError):
                return await self.reader.read()
            return b""


@contextlib.asynccontextmanager
async def connected(server: HttpServer, limit: int = 1 << 20) -> AsyncIterator[Wire]:
    """Reads ahead by twice the limit."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=limit)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
