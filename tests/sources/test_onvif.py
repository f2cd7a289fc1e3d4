"""The addresses of streams, from an ONVIF camera of ours."""

import pytest

from daemon.errors import SourceError
from daemon.sources.onvif import Profile, profiles
from tests.sources.onvif_camera import onvif_camera


async def test_the_streams_are_called_where_the_camera_answers() -> None:
    with onvif_camera("p@ss") as service:
        assert await profiles(service, "admin", "p@ss", 90) == [
            Profile("main", "H264", 1920, 1080, "rtsp://127.0.0.1:554/main"),
            Profile("sub", "H264", 640, 360, "rtsp://127.0.0.1:554/sub"),
        ]


async def test_a_wrong_password_is_told() -> None:
    with (
        onvif_camera("p@ss") as service,
        pytest.raises(
            SourceError, match=r"/onvif/device_service: refuses, .*check user and password: .*not Authorized"
        ),
    ):
        await profiles(service, "admin", "wrong", 90)


@pytest.mark.parametrize("answer", [b"<html>", b"<?xml version='1.0'?><x/>"])
async def test_what_never_ends_is_left(answer: bytes) -> None:
    with onvif_camera("p@ss", instead=answer) as service, pytest.raises(SourceError, match=r"in 0\.5 s"):
        await profiles(service, "admin", "p@ss", 0.5)


async def test_where_nobody_listens() -> None:
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:1/x: refuses, or is no ONVIF camera"):
        await profiles("http://127.0.0.1:1/x", "admin", "p@ss", 90)
