"""What the headers of records say. Their values are bytes to Kafka, and text in UTF-8 to us."""

from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import Field
from typing_extensions import TypedDict

from daemon.wire.trace import Headers

Milliseconds = Annotated[
    str, Field(pattern="^-?[0-9]+$", description="since 1970, where the record could not have its own time")
]
Digits = Annotated[str, Field(pattern="^[0-9]+$")]

CloudEvent = TypedDict(
    "CloudEvent",
    {
        "content-type": Literal["application/json"],
        "schema_id": Annotated[str, Field(description="what the value is, whatever its version")],
        "schema_version": Annotated[str, Field(pattern=r"^2\.[0-9]+$")],
        "ce_specversion": Literal["1.0"],
        "ce_type": Annotated[str, Field(description="equals schema_id")],
        "ce_source": Annotated[str, Field(pattern="^/streams/", description="the stream, percent-encoded")],
        "ce_id": Annotated[str, Field(min_length=1, description="equal in a record that comes a second time")],
        "ce_time": Annotated[str, Field(json_schema_extra={"format": "date-time"})],
        "ce_dataschema": Annotated[
            str, Field(pattern="^urn:visaged:schema:", description="the `$id` of the value's JSON Schema")
        ],
    },
)
"""CloudEvents 1.0 in Kafka's binary content mode, and two headers of our own."""

SourceHeaders = TypedDict(
    "SourceHeaders",
    {
        "visaged-source-topic": Annotated[str, Field(description="of the input record")],
        "visaged-source-partition": Digits,
        "visaged-source-offset": Digits,
    },
)

_Error = TypedDict(
    "_Error",
    {
        "visaged-error": Annotated[str, Field(max_length=1000, description="what was wrong, in words")],
        "visaged-error-type": Annotated[str, Field(min_length=1, description="what kind of error it was")],
    },
)

_Rest = TypedDict(
    "_Rest",
    {
        "traceparent": Annotated[str, Field(pattern="^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")],
        "tracestate": Annotated[str, Field(description="as the input record had it")],
        "visaged-source-topic": Annotated[str, Field(description="of the input record, where there is one")],
        "visaged-source-partition": Digits,
        "visaged-source-offset": Digits,
        "visaged-without-pictures": Annotated[
            Literal["true"],
            Field(description="pictures were left out: it was too large, or whom to hide was unknown"),
        ],
        "visaged-original-timestamp": Milliseconds,
    },
    total=False,
)

_Cut = TypedDict(
    "_Cut",
    {
        "visaged-cut": Annotated[
            str, Field(description="what the record was too large for: parts of it, with the bytes that they had")
        ],
        "visaged-original-timestamp": Milliseconds,
    },
    total=False,
)


class DocumentHeaders(CloudEvent, _Rest):
    """Of a document or an event. Those of an input record that are to pass come behind them."""


class Mistake(SourceHeaders, _Error):
    """Of an input record, and what was wrong with it."""


class DeadLetterHeaders(Mistake, _Cut):
    """Of a record that could not be worked on, behind those that it came with. Its key and value are as they came."""


def encoded(headers: CloudEvent | SourceHeaders) -> Headers:
    texts = cast(Mapping[str, str], headers)
    return tuple((name, text.encode()) for name, text in texts.items())
