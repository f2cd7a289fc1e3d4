"""How frames that come from Kafka are configured. Imports no aiokafka."""

from typing import Annotated, Literal

from pydantic import Field

from daemon.work.settings import WorkSettings
from sinks.kafka_settings import ClusterName, NewTopic, TopicName

EXACTLY_ONCE = "exactly_once"


class ConsumerSettings(WorkSettings):
    cluster: ClusterName = None
    topics: Annotated[tuple[TopicName, ...], Field(min_length=1)] = Field(
        description="Topics with encoded pictures (JPEG, PNG, BMP, WebP) or with v2 documents that have an `_image`; "
        "which of them a record is, its bytes tell. The record's key is the stream. Records of one key "
        "stay in order."
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
    dead_letter_topic: TopicName = Field(
        "visaged-dead-letters",
        description="The topic for records that are not pictures, or whose documents no sink accepts. Each is sent "
        "with its error.",
    )
    create_topics: NewTopic | None = Field(
        None, description="Create topics that do not exist. null: wait until somebody else creates them."
    )
    start: Literal["earliest", "latest"] = Field(
        "earliest",
        description="Where to start in a partition: without a committed offset, or where the committed offset is out "
        "of range. earliest reads all records there are, latest only new ones.",
    )
    max_pending: int = Field(
        64,
        ge=2,
        description="Records of one partition that are in work at the same time. At this number reading of the "
        "partition pauses.",
    )
    idle_timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds without a record of a key after which its state, its tracks for example, is dropped.",
    )
    session_timeout: float = Field(
        10.0,
        ge=1,
        description="Seconds without a heartbeat after which the broker gives the daemon's partitions to others.",
    )
