from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from sinks import SINKS
from sinks.kafka_settings import KafkaCluster, KafkaSasl, KafkaSettings, NewTopic, cluster_of
from sinks.tls import Tls


def cluster(**values: Any) -> KafkaCluster:
    return KafkaCluster(**{"bootstrap_servers": "kafka:9092", **values})


def test_every_setting_says_what_it_is() -> None:
    def fields(model: type[BaseModel]) -> list[str]:
        return [name for name, field in model.model_fields.items() if not field.description and name != "type"]

    models: list[type[BaseModel]] = [KafkaSettings, KafkaCluster, Tls, KafkaSasl, NewTopic]
    assert [name for model in models for name in fields(model)] == []


@pytest.mark.parametrize("servers", ["kafka:9092", "a:1,b:2", "a:1, b:2", "127.0.0.1:9092", "[::1]:9092"])
def test_servers(servers: str) -> None:
    assert cluster(bootstrap_servers=servers).bootstrap_servers == servers.replace(" ", "")


@pytest.mark.parametrize("servers", ["", "kafka", "kafka:", "kafka:port", "a:1;b:2", "a:1,", "::1:9092", "kafka://a:1"])
def test_what_is_no_server(servers: str) -> None:
    with pytest.raises(ValidationError, match="expected host:port"):
        cluster(bootstrap_servers=servers)


@pytest.mark.parametrize("topic", ["", "two words", "a/b", "ä", "x" * 250])
def test_what_is_no_topic(topic: str) -> None:
    with pytest.raises(ValidationError, match="topic"):
        KafkaSettings(type="kafka", topic=topic)


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(ValidationError, match="expected the certificate that the key belongs to"):
        cluster(tls={"key": "client.key"})


def test_a_password_is_not_shown() -> None:
    shown = cluster(sasl={"username": "visaged", "password": "secret"})
    assert "secret" not in repr(shown) + str(shown) + shown.model_dump_json()


@pytest.mark.parametrize(
    ("values", "protocol"),
    [
        ({}, "PLAINTEXT"),
        ({"tls": {}}, "SSL"),
        ({"sasl": {"username": "visaged", "password": "secret"}}, "SASL_PLAINTEXT"),
        ({"tls": {}, "sasl": {"username": "visaged", "password": "secret"}}, "SASL_SSL"),
    ],
)
def test_in_aiokafkas_words(values: dict[str, Any], protocol: str) -> None:
    arguments = cluster(**values).arguments()
    assert arguments["security_protocol"] == protocol
    assert arguments["request_timeout_ms"] == 10_000
    assert (arguments["ssl_context"] is not None) == ("tls" in values)
    assert arguments.get("sasl_plain_password") == ("secret" if "sasl" in values else None)


def test_a_missing_certificate_is_an_os_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        cluster(tls={"ca": Path("nowhere.pem")}).arguments()


def test_a_cluster_is_named_or_the_only_one() -> None:
    a, b = cluster(), cluster()
    assert cluster_of("b", {"a": a, "b": b}) is b
    assert cluster_of(None, {"a": a}) is a
    for clusters in ({}, {"a": a, "b": b}):
        with pytest.raises(LookupError, match=f"expected the name of one of {len(clusters)} clusters"):
            cluster_of(None, clusters)


def test_the_registry_has_all_sinks() -> None:
    assert list(SINKS) == ["kafka", "file", "stdout", "webhook", "mqtt"]
