"""Where what is published of the API and of the documents is asked for."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import web
from typing_extensions import TypedDict

from daemon.http.access.routes import NO_KEY, Routes
from daemon.http.errors import json_response
from daemon.http.openapi.document import openapi
from daemon.http.openapi.operation import Content, Operation
from daemon.http.web.page import HEADERS, File, answer, files
from daemon.http.web.page import POLICY as OF_PAGE
from daemon.status import VERSION
from daemon.wire.codec import Members, encode
from daemon.wire.schemas.asyncapi import asyncapi
from daemon.wire.schemas.documents import documents


class Schemas(TypedDict):
    schemas: list[str]


OPENAPI, ASYNCAPI = "openapi.json", "asyncapi.json"
THIS: Final = Operation("This description", {200: Content(Members)})
TOPICS: Final = Operation("What goes to Kafka's topics and comes from them (AsyncAPI)", {200: Content(Members)})
LIST: Final = Operation("The names of the JSON Schemas of what is written", {200: Content(Schemas)})
ONE: Final = Operation("A JSON Schema", {200: Content(Members)}, frozenset({404}))


FOLDER: Final = Path(__file__).parent / "page"
POLICY: Final = OF_PAGE.replace("img-src 'self' blob:", "img-src 'self' data:")
"""Swagger UI's icons are in its style sheet."""
PAGE: Final = Operation(
    "This description as a page, on which requests can be made", {200: Content(media_types=("text/html",)), 304: None}
)
FILE: Final = Operation(
    "A file of that page",
    {200: Content(media_types=("text/html", "text/css", "text/javascript")), 304: None},
    frozenset({404}),
)


class Published:
    """The handlers. Belongs to the event loop's thread."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._files: Mapping[str, bytes] | None = None
        self._page: Mapping[str, File] | None = None

    def add_to(self, routes: Routes) -> None:
        routes.add("GET", f"/{OPENAPI}", self._openapi, NO_KEY, THIS)
        routes.add("GET", f"/{ASYNCAPI}", self._asyncapi, NO_KEY, TOPICS)
        routes.add("GET", "/schemas", self._list, NO_KEY, LIST)
        routes.add("GET", "/schemas/{name}", self._schema, NO_KEY, ONE)
        routes.add("GET", "/docs", self._show, NO_KEY, PAGE)
        routes.add("GET", "/docs/{file}", self._send, NO_KEY, FILE)

    async def _openapi(self, _: web.Request) -> web.Response:
        return await self._answer(OPENAPI)

    async def _asyncapi(self, _: web.Request) -> web.Response:
        return await self._answer(ASYNCAPI)

    async def _list(self, _: web.Request) -> web.Response:
        return json_response({"schemas": sorted((await self._made()).keys() - {OPENAPI, ASYNCAPI})})

    async def _schema(self, request: web.Request) -> web.Response:
        return await self._answer(request.match_info["name"])

    async def _show(self, request: web.Request) -> web.StreamResponse:
        return await self._file(request, "docs.html")

    async def _send(self, request: web.Request) -> web.StreamResponse:
        return await self._file(request, request.match_info["file"])

    async def _file(self, request: web.Request, name: str) -> web.StreamResponse:
        if self._page is None:
            self._page = await asyncio.to_thread(files, FOLDER)
        if name not in self._page:
            raise web.HTTPNotFound
        return answer(request, self._page[name], {**HEADERS, "Content-Security-Policy": POLICY})

    async def _answer(self, name: str) -> web.Response:
        files = await self._made()
        if name not in files:
            raise web.HTTPNotFound
        return web.Response(body=files[name], content_type="application/json")

    async def _made(self) -> Mapping[str, bytes]:
        """At the first request, which takes half a second: few servers are asked."""
        if self._files is None:
            made = await asyncio.to_thread(published, self._routes)
            self._files = {name: encode(document) for name, document in made.items()}
        return self._files


def published(routes: Routes) -> Mapping[str, Members]:
    """All, by the names of their files."""
    return {**documents(), ASYNCAPI: asyncapi(VERSION), OPENAPI: openapi(routes.described, VERSION)}
