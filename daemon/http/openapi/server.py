"""What the server's own routes take and answer."""

from typing import Any, Final, Literal

from pydantic import create_model
from typing_extensions import TypedDict

from daemon.http.access.settings import Role
from daemon.http.openapi.operation import Content, Operation

Members = dict[str, Any]


class Health(TypedDict):
    status: Literal["ok"]


class Readiness(TypedDict):
    status: Literal["ready"]


class Session(TypedDict):
    """What the key of the session is for."""

    name: str
    roles: list[Role]
    streams: list[str]


KeyOfSession: Any = create_model("KeyOfSession", key=(str, ...))

HEALTH: Final = Operation("Whether the process lives", {200: Content(Health)})
READINESS: Final = Operation("Whether the models are loaded", {200: Content(Readiness)}, frozenset({503}))
SESSION_BEGINS: Final = Operation(
    "Begin a browser's session", {200: Content(Session)}, frozenset({401, 404}), takes=[Content(KeyOfSession)]
)
SESSION_ENDS: Final = Operation("End a browser's session", {204: None}, frozenset({415}))
STATUS: Final = Operation("What runs, what became of every frame and record, and how fast", {200: Content(Members)})
FIGURES: Final = Operation(
    "The same figures, as Prometheus reads them",
    {200: Content(media_types=("text/plain", "application/openmetrics-text"))},
)
