"""The AsyncAPI (3.0) of the topics: https://www.asyncapi.com/docs/reference/specification/v3.0.0."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter

from daemon.wire.codec import Members
from daemon.wire.headers import DeadLetterHeaders, DocumentHeaders
from daemon.wire.schemas.documents import DEAD_LETTER_SCHEMA, TYPES, Untitled
from daemon.wire.v2 import FRAME_SCHEMA, PLACE_SCHEMA, TRACK_SCHEMA

STREAM: Final = {"type": "string", "description": "the id of the stream"}
AS_IT_CAME: Final = {"description": "of the input record, as it came"}


class Topic(NamedTuple):
    """A kind of topic. The configuration says what each is called."""

    key: str
    """Of the configuration, that names it."""
    action: str
    """What the daemon does."""
    summary: str
    messages: tuple[str, ...]


TOPICS: Final[Mapping[str, Topic]] = {
    "documents": Topic("sinks.NAME.topic, or topic of a stream", "send", "Frames' documents", (FRAME_SCHEMA.name,)),
    "events": Topic(
        "tracking.events.topic", "send", "Events of tracks, zones and lines", (TRACK_SCHEMA.name, PLACE_SCHEMA.name)
    ),
    "deadLetters": Topic(
        "consumers.NAME.dead_letters", "send", "Input records that can't be worked on", (DEAD_LETTER_SCHEMA.name,)
    ),
    "pictures": Topic("consumers.NAME.topics", "receive", "Pictures to be worked on", ("picture",)),
}


def asyncapi(version: str) -> Members:
    """`version`: the daemon's."""
    kinds = {**{schema.name: kind for schema, kind in TYPES.items()}, "headers": DocumentHeaders}
    made, shared = TypeAdapter.json_schemas(
        [(name, "serialization", TypeAdapter[Any](kind)) for name, kind in kinds.items()],
        ref_template="#/components/schemas/{model}",
        schema_generator=Untitled,
    )
    schemas = {name: schema for (name, _), schema in made.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "visaged",
            "version": version,
            "description": "What the daemon writes to Kafka's topics, and what it reads. Values are plain JSON.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, topic) for name, topic in TOPICS.items()},
        "operations": {f"{topic.action}_{name}": _operation(name, topic) for name, topic in TOPICS.items()},
        "components": {"messages": _messages(schemas), "schemas": shared["$defs"]},
    }


def _channel(name: str, topic: Topic) -> Members:
    return {
        "address": f"{{{name}}}",
        "parameters": {name: {"description": f"{topic.key} of the configuration"}},
        "summary": topic.summary,
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in topic.messages},
    }


def _operation(name: str, topic: Topic) -> Members:
    return {
        "action": topic.action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": topic.summary,
        "messages": [{"$ref": f"#/channels/{name}/messages/{message}"} for message in topic.messages],
    }


def _messages(schemas: Mapping[str, Members]) -> Members:
    told = {
        schema.name: _message(schema.id, schemas["headers"], schemas[schema.name], STREAM)
        for schema, kind in TYPES.items()
        if kind is not DeadLetterHeaders
    }
    return told | {
        DEAD_LETTER_SCHEMA.name: _message(
            DEAD_LETTER_SCHEMA.id, schemas[DEAD_LETTER_SCHEMA.name], AS_IT_CAME, AS_IT_CAME, "application/octet-stream"
        ),
        "picture": _message(
            "visaged.picture",
            None,
            {"description": "a picture's file (JPEG, PNG, BMP or WebP), or a document of version 2 with `_image`"},
            {"type": "string", "description": "the id of a stream, by the sender's choice; none: one per partition"},
            "application/octet-stream",
        ),
    }


def _message(
    name: str, headers: Members | None, payload: Members, key: Members, content_type: str = "application/json"
) -> Members:
    described = {"name": name, "contentType": content_type, "payload": payload, "bindings": {"kafka": {"key": key}}}
    return described if headers is None else described | {"headers": headers}
