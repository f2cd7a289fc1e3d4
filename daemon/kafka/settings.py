"""How frames that come from Kafka are configured. Imports no aiokafka."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from configs.section import Section
from daemon.sources.settings import MaskPolygons
from daemon.work.settings import WorkSettings
from sinks.kafka_settings import ClusterName, Compression, NewTopic, TopicName

EXACTLY_ONCE = "exactly_once"
OUR_HEADERS = re.compile(r"content-type|schema_(id|version)|trace(parent|state)|ce_.*|visaged-.*")


def _passing(name: str) -> str:
    if OUR_HEADERS.fullmatch(name):
        raise ValueError("expected a header that documents do not have of their own")
    return name


class DeadLetterSettings(Section):
    topic: TopicName = Field("visaged-dead-letters", description="The topic of the dead letters.")
    max_record_bytes: int = Field(
        1_000_000,
        ge=10_000,
        description="Maximum size of a dead letter in bytes; at most the topic's max.message.bytes. A larger record is "
        "sent without its value or its headers, whichever is larger, then without both, then without its key. The "
        "header visaged-cut says what is missing.",
    )
    compression: Compression | None = Field(
        None,
        description="Compression of batches of dead letters. null: lz4, or with exactly_once that of the sinks, which "
        "must be the same, as one producer writes to all.",
    )


class ConsumerSettings(WorkSettings):
    cluster: ClusterName = None
    topics: Annotated[tuple[TopicName, ...], Field(min_length=1)] = Field(
        description="The topics to read. The value of a record is an encoded picture (JPEG, PNG, BMP, WebP) or a v2 "
        "document with a picture in `_image`; visaged tells them apart by their first bytes. The key of a record is "
        "the id of its stream, whose documents keep the order of the records. A record without a key belongs to the "
        "stream of its topic and partition."
    )
    group: str = Field(
        "visaged",
        min_length=1,
        description="The consumer group. Daemons of the same group share the partitions, and a restarted one "
        "continues at the committed offsets.",
    )
    delivery: Literal["at_least_once", "exactly_once"] = Field(
        "at_least_once",
        description="at_least_once: a record's offset is committed after every sink has its document; after a crash "
        "some records are worked on again. exactly_once: documents and offsets are written in one "
        "transaction; only for sinks of type kafka in the same cluster.",
    )
    dead_letters: DeadLetterSettings = Field(
        DeadLetterSettings(),
        description="Where records go that are not pictures, or whose documents no sink accepts. Each is sent with its "
        "error.",
    )
    dead_letter_topic: TopicName | None = Field(None, description="Old name of dead_letters.topic. null: that holds.")
    create_topics: NewTopic | None = Field(
        None,
        description="Create the topics that this consumer reads and writes, where they do not exist. null: it waits "
        "until somebody else creates them, and /status names those that are missing.",
    )
    masks: MaskPolygons = ()
    headers: tuple[Annotated[str, Field(min_length=1), AfterValidator(_passing)], ...] = Field(
        (),
        description="Names of records' headers that their documents get as they came, each as often as it came. "
        "[]: none. traceparent and tracestate need not be named: a document goes on in its record's trace.",
    )
    start: Literal["earliest", "latest"] = Field(
        "earliest",
        description="Where to start in a partition without a committed offset, or where the committed offset is beyond "
        "its end: earliest at the first record there is, latest behind the last. That position is committed at "
        "once. Partitions that are added later are read from their first record.",
    )
    max_pending: int = Field(
        64,
        ge=2,
        description="Records of one partition that have been read and are not committed. At this number reading of the "
        "partition pauses. More keep the workers busy while a sink is slow, but take memory, and up to so many are "
        "worked on again after a crash.",
    )
    idle_timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds without a record of a key after which its run ends: its tracks leave, and its next record "
        "begins with new ones. Set it above the longest usual pause of a stream. A longer time keeps more ended "
        "streams in memory, 1,000 per partition at most.",
    )
    session_timeout: float = Field(
        10.0,
        ge=1,
        description="Seconds without a heartbeat after which the broker gives the daemon's partitions to others. With "
        "less, others take over sooner after a crash, but a short pause of the machine or the network costs the "
        "partitions too, and records are worked on again. Brokers refuse what is outside their "
        "group.min.session.timeout.ms and group.max.session.timeout.ms.",
    )

    @model_validator(mode="before")
    @classmethod
    def _of_old_name(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("dead_letter_topic") is None:
            return data
        letters = data.get("dead_letters", {})
        if not isinstance(letters, dict) or "topic" in letters:
            raise ValueError("expected dead_letters.topic or its old name dead_letter_topic, got both")
        return {**data, "dead_letters": {**letters, "topic": data["dead_letter_topic"]}}
