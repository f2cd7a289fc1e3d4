"""What brokers allow us on topics and groups. Asked for, nothing is written, made or joined."""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from aiokafka import errors as kafka_errors
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.metadata import MetadataRequest, MetadataResponse_v5
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from sinks.base import SinkError
from sinks.kafka_client import client_arguments, connect, words
from sinks.kafka_settings import KafkaCluster

GROUP = 0  # of the two kinds of coordinators
BROKER = 4  # of the kinds of what has a configuration
AUTO_CREATE = "auto.create.topics.enable"
UNTOLD = -(2**31)
"""In place of the operations that a broker allows, where it does not tell them."""


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
    """Topics that are missing or closed to us, each with what is wrong. Raises SinkError.

    Where a broker does not tell its rights (before Kafka 2.3, some others), a topic that we may see is taken for open.
    """
    conn = await connect(cluster, await client_arguments(cluster))
    try:
        topics = await _topics(conn, list(rights))
    except (KafkaError, TimeoutError) as err:
        raise SinkError(f"{cluster.bootstrap_servers}: {words(err)}", retriable=True) from err
    finally:
        conn.close()
    return dict(_refused(topics, rights))


async def _topics(conn: AIOKafkaConnection, names: list[str]) -> list[tuple[Any, ...]]:
    try:
        answer = await conn.send(_MetadataRequest(names))
    except (kafka_errors.IncompatibleBrokerVersion, NotImplementedError):
        answer = await conn.send(MetadataRequest(names, allow_auto_topic_creation=False))
        return [(*topic, UNTOLD) for topic in answer.topics]
    topics: list[tuple[Any, ...]] = answer.topics
    return topics


def _refused(topics: list[tuple[Any, ...]], rights: Mapping[str, Right]) -> Iterator[tuple[str, Refusal]]:
    for code, topic, _, _, operations in topics:
        error, right = kafka_errors.for_code(code), rights[topic]
        if error is kafka_errors.UnknownTopicOrPartitionError:
            yield topic, Refusal(f"topic {topic} is missing", is_missing=True)
        elif error is kafka_errors.TopicAuthorizationFailedError:
            yield topic, Refusal(f"we may not see topic {topic}: give this user {right.name} on it")
        elif operations > 0 and not operations & 1 << right:  # whoever may see a topic may do something with it
            yield topic, Refusal(f"we may not {right.name.lower()} topic {topic}: give this user {right.name} on it")


async def makes_topics(cluster: KafkaCluster) -> bool | None:
    """Whether a topic is made when it is asked for; None: the brokers do not say. Raises SinkError."""
    arguments = await client_arguments(cluster)
    conn = await connect(cluster, arguments)
    try:
        for node, host, port, *_ in (await conn.send(MetadataRequest([]))).brokers:
            conn.close()
            conn = await _connect_to(host, port, arguments)  # as a broker tells of itself alone
            answer = await conn.send(DescribeConfigsRequest([(BROKER, str(node), [AUTO_CREATE])]))
            values: dict[str, str] = {name: value for *_, entries in answer.resources for name, value, *_ in entries}
            return {"true": True, "false": False}.get(values.get(AUTO_CREATE, ""))
    except (OSError, KafkaError, NotImplementedError):
        return None
    finally:
        conn.close()
    return None


async def refused_group(cluster: KafkaCluster, group: str) -> str | None:
    """Why we may not be a member of the group; None: we may. Raises SinkError."""
    arguments = await client_arguments(cluster)
    conn = await connect(cluster, arguments)
    try:
        error, host, port = await _coordinator(conn, group)
        if error is kafka_errors.NoError:
            conn.close()
            conn = await _connect_to(host, port, arguments)
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


async def _connect_to(host: str, port: int, arguments: dict[str, Any]) -> AIOKafkaConnection:
    of_connection = {name: value for name, value in arguments.items() if name != "bootstrap_servers"}
    return await create_conn(host, port, **of_connection)


async def _coordinator(conn: AIOKafkaConnection, group: str) -> tuple[type[Exception], str, int]:
    answer = await conn.send(FindCoordinatorRequest(group, GROUP))
    return kafka_errors.for_code(answer.error_code), answer.host, answer.port
