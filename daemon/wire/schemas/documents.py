"""The JSON Schemas (2020-12) of records' values, and of the headers of dead letters."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from daemon.wire.codec import Members
from daemon.wire.headers import DeadLetterHeaders
from daemon.wire.v2 import FRAME_SCHEMA, PLACE_SCHEMA, TRACK_SCHEMA, PlaceEvent, Schema, StreamDocument, TrackEvent

DIALECT: Final = GenerateJsonSchema.schema_dialect
DEAD_LETTER_SCHEMA: Final = Schema("visaged.dead-letter", "dead-letter")

TYPES: Mapping[Schema, Any] = {
    FRAME_SCHEMA: StreamDocument,
    TRACK_SCHEMA: TrackEvent,
    PLACE_SCHEMA: PlaceEvent,
    DEAD_LETTER_SCHEMA: DeadLetterHeaders,
}
"""Of each schema. All are open: a later version 2.x adds members, which a consumer of this one passes over."""


class Untitled(GenerateJsonSchema):
    """Without titles that repeat the names of members."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema_of(schema: Schema) -> Members:
    return {"$schema": DIALECT, "$id": schema.urn, **made_of(TYPES[schema])}


def made_of(kind: Any) -> Members:
    """Of a type, with what it refers to in `$defs`."""
    return TypeAdapter(kind).json_schema(mode="serialization", schema_generator=Untitled)


def documents() -> dict[str, Members]:
    """All, by the names of their files: document-2.1.json."""
    return {f"{schema.name}-{schema.version}.json": schema_of(schema) for schema in TYPES}
