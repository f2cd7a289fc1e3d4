"""Which services there are, for those who choose one: `GET /services`."""

from collections.abc import Mapping
from typing import Final, Literal

from aiohttp import web
from typing_extensions import TypedDict

from daemon.http.access.routes import Need, Routes
from daemon.http.errors import json_response
from daemon.http.openapi.operation import Content, Operation
from daemon.http.services.catalogue import Comparison, Detection, Estimation, Service
from daemon.wire.codec import Members

QUERY = Need(("query",))
TAKES: Mapping[type, str] = {Detection: "picture", Estimation: "faces", Comparison: "templates"}
"""What a request must bring: a picture, a picture with faces that were found, or two templates."""


class Listed(TypedDict):
    name: str
    takes: Literal["picture", "faces", "templates"]


class Services(TypedDict):
    services: list[Listed]
    versions: list[str]
    quality: Members


LIST: Final = Operation("Which services there are, and what each takes", {200: Content(Services)})


class Listing:
    """The handler. Belongs to the event loop's thread."""

    def __init__(self, services: Mapping[str, Service], quality: Members) -> None:
        """`quality`: the thresholds of the quality's measures, as they are set."""
        rows = [{"name": name, "takes": TAKES[type(service)]} for name, service in services.items()]
        self._body = {"services": rows, "versions": ["v2", "v1"], "quality": quality}

    def add_to(self, routes: Routes) -> None:
        routes.add("GET", "/services", self._list, QUERY, LIST)

    async def _list(self, _: web.Request) -> web.Response:
        return json_response(self._body)
