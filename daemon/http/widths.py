"""Widths of pictures, as requests ask for them."""

from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from daemon.errors import Problem
from daemon.http.errors import InvalidRequest
from daemon.http.openapi.operation import Parameter

WIDTHS: Final = range(16, 8193)
Width = Annotated[int, Field(ge=WIDTHS.start, lt=WIDTHS.stop)]
WIDTH: Final = Parameter("width", Width, "pixels at most")
DISPLAY_WIDTH: Final = Parameter(
    "display_width", Width, "how wide the picture will be displayed: what is drawn is as large as is legible there"
)


def width_of(request: web.Request, parameter: Parameter) -> int | None:
    """None: the request has none. Raises InvalidRequest."""
    text = request.query.get(parameter.name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:9]) in WIDTHS):
        message = f"Expected a number from {WIDTHS.start} to {WIDTHS.stop - 1}"
        raise InvalidRequest([Problem(("query", parameter.name), message, "int_parsing")])
    return int(text)
