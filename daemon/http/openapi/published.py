"""Where what is published of the API and of the documents is asked for."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from typing_extensions import TypedDict

from daemon.http.access.routes import NO_KEY, Routes
from daemon.http.errors import json_response
from daemon.http.openapi.document import openapi
from daemon.http.openapi.operation import Content, Operation
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


class Published:
    """The handlers. Belongs to the event loop's thread."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._files: Mapping[str, bytes] | None = None

    def add_to(self, routes: Routes) -> None:
        routes.add("GET", f"/{OPENAPI}", self._openapi, NO_KEY, THIS)
        routes.add("GET", f"/{ASYNCAPI}", self._asyncapi, NO_KEY, TOPICS)
        routes.add("GET", "/schemas", self._list, NO_KEY, LIST)
        routes.add("GET", "/schemas/{name}", self._schema, NO_KEY, ONE)

    async def _openapi(self, _: web.Request) -> web.Response:
        return await self._answer(OPENAPI)

    async def _asyncapi(self, _: web.Request) -> web.Response:
        return await self._answer(ASYNCAPI)

    async def _list(self, _: web.Request) -> web.Response:
        return json_response({"schemas": sorted((await self._made()).keys() - {OPENAPI, ASYNCAPI})})

    async def _schema(self, request: web.Request) -> web.Response:
        return await self._answer(request.match_info["name"])

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
