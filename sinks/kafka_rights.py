"""What brokers allow us on topics and groups. Asked for, nothing is written, made or joined."""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from aiokafka import errors as kafka_errors
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.metadata import MetadataResponse_v5
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from sinks.base import SinkError
from sinks.kafka_client import client_arguments, connect, words
from sinks.kafka_settings import KafkaCluster

GROUP = 0  # of the two kinds of coordinators


class Right(IntEnum):
    """Kafka's codes of operations (AclOperation)."""

    READ = 3
    WRITE = 4


class Refusal(NamedTuple):
    words: str
    is_missing: bool = False
    """Nobody may use the topic, as there is none."""


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", MetadataResponse_v5.SCHEMA.fields[1]),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc]
    """KIP-430, which aiokafka does not ask for."""

    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        return request_struct_class(self._topics, False, False, True)


async def refused_topics(cluster: KafkaCluster, rights: Mapping[str, Right]) -> Mapping[str, Refusal]:
    """Topics that are missing or closed to us, each with what is wrong. Raises SinkError."""
    conn = await connect(cluster, await client_arguments(cluster))
    try:
        answer = await conn.send(_MetadataRequest(list(rights)))
    except (KafkaError, NotImplementedError, TimeoutError) as err:  # a broker before 2.3 does not say
        raise SinkError(f"{cluster.bootstrap_servers}: rights are not told: {words(err)}", retriable=False) from err
    finally:
        conn.close()
    return dict(_refused(answer.topics, rights))


def _refused(topics: list[tuple[Any, ...]], rights: Mapping[str, Right]) -> Iterator[tuple[str, Refusal]]:
    for code, topic, _, _, operations in topics:
        error, right = kafka_errors.for_code(code), rights[topic]
        if error is kafka_errors.UnknownTopicOrPartitionError:
            yield topic, Refusal(f"topic {topic} is missing", is_missing=True)
        elif error is kafka_errors.TopicAuthorizationFailedError:
            yield topic, Refusal(f"we may not see topic {topic}: give this user {right.name} on it")
        elif not operations & 1 << right:
            yield topic, Refusal(f"we may not {right.name.lower()} topic {topic}: give this user {right.name} on it")


async def refused_group(cluster: KafkaCluster, group: str) -> str | None:
    """Why we may not be a member of the group; None: we may. Raises SinkError."""
    arguments = await client_arguments(cluster)
    conn = await connect(cluster, arguments)
    try:
        error, host, port = await _coordinator(conn, group)
        if error is kafka_errors.NoError:
            conn.close()
            conn = await create_conn(
                host, port, **{name: value for name, value in arguments.items() if name != "bootstrap_servers"}
            )
            # Of a member that there is none of: it changes nothing, and the right is looked at first.
            answer = await conn.send(HeartbeatRequest(group, -1, "visaged-check"))
            error = kafka_errors.for_code(answer.error_code)
    except (OSError, KafkaError, TimeoutError) as err:
        raise SinkError(f"{cluster.bootstrap_servers}: {words(err)}", retriable=True) from err
    finally:
        conn.close()
    if error is kafka_errors.GroupAuthorizationFailedError:
        return f"we may not be in group {group}: give this user {Right.READ.name} on it"
    return None


async def _coordinator(conn: AIOKafkaConnection, group: str) -> tuple[type[Exception], str, int]:
    answer = await conn.send(FindCoordinatorRequest(group, GROUP))
    return kafka_errors.for_code(answer.error_code), answer.host, answer.port
