"""How a Kafka cluster is reached, and the sink's settings. Apart from it: a configuration loads without aiokafka."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr

from configs.section import Section
from sinks.base import Linger
from sinks.selection import Selection
from sinks.tls import Tls


class KafkaSasl(Section):
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512",
        description="The SASL mechanism, one that the brokers offer to this user. PLAIN sends the password "
        "unencrypted: use it only with tls.",
    )
    username: str = Field(description="The user name.")
    password: SecretStr = Field(
        description="The password. Better write ${VAR} or ${file:PATH} here, or the file's path as `password_file`, or "
        "set it in the environment: VISAGED_CLUSTERS__<NAME>__SASL__PASSWORD."
    )


def _servers(value: str) -> str:
    servers = [server.strip() for server in value.split(",")]
    wrong = [server for server in servers if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:]+):\d{1,5}", server)]
    if wrong:  # before an @ there may be a password
        shown = (f"***@{server.rpartition('@')[2]}" if "@" in server else server for server in wrong)
        raise ValueError("\n".join(f"expected host:port, got {server!r}" for server in shown))
    return ",".join(servers)


class KafkaCluster(Section):
    bootstrap_servers: Annotated[str, AfterValidator(_servers)] = Field(
        description="Brokers to connect to first, as host:port, separated by commas."
    )
    client_id: str = Field("visaged", description="The name of this client in the brokers' logs and quotas.")
    tls: Tls | None = Field(
        None, description="Encrypt connections with TLS. {}: trust the system's certificates. null: no encryption."
    )
    sasl: KafkaSasl | None = Field(None, description="Log in with SASL. null: no login.")
    request_timeout: float = Field(
        10.0,
        gt=0,
        description="Seconds in which a broker must answer a request. After that the request fails and is tried again.",
    )

    def arguments(self) -> dict[str, Any]:
        """Of aiokafka's clients, in its words. Reads certificates: raises OSError or ssl.SSLError."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": self.client_id,
            "request_timeout_ms": round(self.request_timeout * 1000),
            "security_protocol": ("SASL_" if self.sasl else "") + ("SSL" if self.tls else "PLAINTEXT"),
            "ssl_context": self.tls.context() if self.tls else None,
        }
        if self.sasl:
            arguments["sasl_mechanism"] = self.sasl.mechanism
            arguments["sasl_plain_username"] = self.sasl.username
            arguments["sasl_plain_password"] = self.sasl.password.get_secret_value()
        return arguments


class NewTopic(Section):
    partitions: int = Field(
        1, ge=1, description="Number of partitions of a new topic. The records of one stream are all in one partition."
    )
    replication_factor: int = Field(1, ge=1, description="Number of brokers that have a copy of each partition.")


TopicName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]
Clusters = Mapping[str, KafkaCluster]
ClusterName = Annotated[
    str | None, Field(description="The name of a cluster in `clusters`. null: the only one there is.")
]


Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]


class KafkaSettings(Selection):
    type: Literal["kafka"]
    linger: Linger = 0.01
    cluster: ClusterName = None
    topic: TopicName = Field(description="The topic of the documents. A record's key is the id of its stream.")
    create_topic: NewTopic | None = Field(
        None,
        description="Create the topic if it does not exist. null: the brokers decide. Those with "
        "auto.create.topics.enable create it; with others the daemon ends with status 1 and names the topic.",
    )
    idempotent: bool = Field(
        True,
        description="Use an idempotent producer: a lost connection neither repeats nor reorders records. Brokers "
        "that do not support this refuse it: set false for them.",
    )
    compression: Compression = Field(
        "lz4",
        description="Compression of batches of records. zstd and gzip make documents smallest; gzip needs by far the "
        "most CPU.",
    )
    max_record_bytes: int = Field(
        1_000_000,
        ge=1000,
        description="Maximum size of a record in bytes; at most the brokers' message.max.bytes. A larger document is "
        "sent without its pictures. If it is still too large, it is refused and counted.",
    )


def cluster_of(name: str | None, clusters: Clusters) -> KafkaCluster:
    """By its name, or the only one there is; raises LookupError."""
    if name is not None:
        return clusters[name]
    if len(clusters) != 1:
        raise LookupError(f"expected the name of one of {len(clusters)} clusters, got nothing")
    return next(iter(clusters.values()))
