from typing import Any

import pytest

from daemon.control.credentials import apart, merged, restored, shown
from daemon.errors import InvalidDocument

DOOR = {"source": "rtsp://10.0.0.5/1", "username": "viewer", "password": "hunter2"}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"source": "rtsp://viewer:hunter2@10.0.0.5/1"}, DOOR),
        ({"source": "rtsp://vie%40wer:a%2Fb@10.0.0.5:8554/1"}, None),
        ({"source": "rtsp://viewer@10.0.0.5/1"}, {"source": "rtsp://10.0.0.5/1", "username": "viewer"}),
        (DOOR, DOOR),
        ({"source": 7}, {"source": 7}),
        ({}, {}),
    ],
)
def test_a_login_goes_out_of_the_address(sent: dict[str, Any], expected: dict[str, Any] | None) -> None:
    if expected is None:
        expected = {"source": "rtsp://10.0.0.5:8554/1", "username": "vie@wer", "password": "a/b"}
    assert apart(sent) == expected


def test_nothing_secret_is_shown() -> None:
    members = DOOR | {
        "source": "http://10.0.0.5/video?token=hunter2",
        "ffmpeg_options": {"headers": "Authorization: hunter2", "probesize": "32"},
    }
    told = shown(members)
    assert "hunter2" not in str(told)
    assert told["source"] == "http://10.0.0.5/video?***"
    assert told["ffmpeg_options"] == {"headers": "***", "probesize": "32"}
    assert shown({"password": "${secret:door}"}) == {"password": "${secret:door}"}
    assert "hunter2" not in str(shown({"source": "rtsp://u:hunter2@10.0.0.5/1"}))


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://10.0.0.5/1",
        "rtsp://10.0.0.5/another/path",
        "RTSP://10.0.0.5:554/1",
    ],
)
def test_a_hidden_password_is_kept_for_the_same_camera(source: str) -> None:
    sent = DOOR | {"source": source, "password": "***"}
    assert restored(sent, DOOR) == DOOR | {"source": source}
    assert restored(apart({"source": source.replace("//", "//viewer:***@")}), DOOR)["password"] == "hunter2"  # noqa: S105


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"source": "rtsp://10.0.0.6/1"}, "password"),
        ({"source": "rtsp://10.0.0.5:8554/1"}, "password"),
        ({"source": "rtsps://10.0.0.5/1"}, "password"),
        ({"source": "rtsps://10.0.0.5:554/1"}, "password"),
        ({"source": "http://10.0.0.5:554/1"}, "password"),
        ({"username": "admin"}, "password"),
        ({"username": "***"}, "username"),
        ({"source": "rtsp://10.0.0.5/?***"}, "source"),
        ({"source": "rtsp:10.0.0.6"}, "password"),
    ],
)
def test_for_another_it_is_refused(change: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        restored(DOOR | change | {"password": "***"}, DOOR)
    assert refused.value.problems[0].loc == (key,)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("before", [None, {}, {"source": "rtsp://10.0.0.5/1", "username": "viewer"}])
def test_nothing_is_kept_where_there_was_none(before: dict[str, Any] | None) -> None:
    with pytest.raises(InvalidDocument):
        restored(DOOR | {"password": "***"}, before)


def test_a_hidden_query_is_kept_with_the_whole_address_alone() -> None:
    before = {"source": "http://10.0.0.5/video?token=hunter2"}
    assert restored({"source": "http://10.0.0.5/video?***"}, before) == before
    for source in ("http://10.0.0.6/video?***", "http://10.0.0.5/other?***", "http://***@10.0.0.5/video"):
        with pytest.raises(InvalidDocument):
            restored({"source": source}, before)


def test_a_patch_takes_no_password_along_to_another_address() -> None:
    patch = {"source": "rtsp://10.0.0.66/1"}
    with pytest.raises(InvalidDocument, match="password"):
        restored(merged(DOOR, patch), DOOR, inherits=True)
    kept = merged(DOOR, {"name": "Tür"})
    assert restored(kept, DOOR, inherits=True) == DOOR | {"name": "Tür"}


def test_a_merge_patch() -> None:
    """RFC 7396."""
    before = {"a": 1, "b": {"c": 1, "d": 2}, "e": [1]}
    assert merged(before, {"a": None, "b": {"c": None, "x": {"y": None, "z": 1}}, "e": [2]}) == {
        "b": {"d": 2, "x": {"z": 1}},
        "e": [2],
    }
