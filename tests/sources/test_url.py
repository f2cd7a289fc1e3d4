import pytest

from daemon.sources.url import host_of, redacted, scheme_of


@pytest.mark.parametrize(
    ("url", "scheme", "host", "shown"),
    [
        ("rtsp://user:hunter2@Door:554/1?p=hunter2", "rtsp", "door", "rtsp://***@Door:554/1?***"),
        ("RTSP://[::1]/a", "rtsp", "::1", "rtsp://[::1]/a"),
        ("rtsp:///a", "rtsp", "", "rtsp:///a"),
        ("rtsp://user:hunter2@/a", "rtsp", "", "rtsp://***@/a"),
        ("rtsp://user:hunter2@[::1/a", "rtsp", "", "rtsp://***"),
        ("videos/a.mp4", "", "", "videos/a.mp4"),
    ],
)
def test_parts(url: str, scheme: str, host: str, shown: str) -> None:
    assert (scheme_of(url), host_of(url), redacted(url)) == (scheme, host, shown)
