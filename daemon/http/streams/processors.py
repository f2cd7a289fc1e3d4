"""Which processors a stream's chain can be of, for those who choose them: `GET /processors`."""

from typing import Final

from aiohttp import web
from typing_extensions import TypedDict

from daemon.http.access.routes import Need, Routes
from daemon.http.errors import json_response
from daemon.http.openapi.operation import Content, Operation
from processors.registry import PROCESSORS, needed_before

CONTROL: Final = Need(("control",))


class ListedProcessor(TypedDict):
    name: str
    needs: list[str]


class Processors(TypedDict):
    processors: list[ListedProcessor]


LIST: Final = Operation(
    "Which processors a chain can be of, and which of them each needs before it", {200: Content(Processors)}
)


def add_processors(routes: Routes) -> None:
    routes.add("GET", "/processors", _list, CONTROL, LIST)


async def _list(_: web.Request) -> web.Response:
    return json_response({"processors": [{"name": name, "needs": needed_before(name)} for name in PROCESSORS]})
