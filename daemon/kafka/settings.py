"""How frames that come from Kafka are configured. Imports no aiokafka."""

from typing import Annotated, Literal

from pydantic import Field

from daemon.work.settings import WorkSettings
from sinks.kafka_settings import ClusterName, NewTopic, TopicName

EXACTLY_ONCE = "exactly_once"


class ConsumerSettings(WorkSettings):
    cluster: ClusterName = None
    topics: Annotated[tuple[TopicName, ...], Field(min_length=1)] = Field(
        description="Topics of encoded pictures (JPEG, PNG, BMP, WebP) or v2 documents with their `_image`, told from "
        "the bytes. A record's key is the stream; records of one key are kept in order."
    )
    group: str = Field(
        "visaged",
        min_length=1,
        description="The consumer group: daemons with the same one share the partitions, and go on where it was.",
    )
    delivery: Literal["at_least_once", "exactly_once"] = Field(
        "at_least_once",
        description="A record counts as done when every sink has its document, and may be worked on again after a "
        "crash; or document and progress are one transaction, for sinks of type kafka in the same cluster alone.",
    )
    dead_letter_topic: TopicName = Field(
        "visaged-dead-letters",
        description="Where records go that are no pictures, or whose documents no sink takes, with the error.",
    )
    create_topics: NewTopic | None = Field(
        None, description="Create topics that are missing; nothing: wait until they are there."
    )
    start: Literal["earliest", "latest"] = Field(
        "earliest", description="Where a group begins that has been nowhere yet, or beyond a partition's end."
    )
    max_pending: int = Field(
        64, ge=2, description="Records of one partition that are taken and not done yet; beyond, it is not read."
    )
    idle_timeout: float = Field(
        60.0, gt=0, description="Seconds without a record after which what is kept of a key, as its tracks, is dropped."
    )
    session_timeout: float = Field(
        10.0, ge=1, description="Seconds after which a daemon that has gone silent loses its partitions."
    )
