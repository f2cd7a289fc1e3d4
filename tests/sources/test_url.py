import pytest

from daemon.sources.url import parsed, redacted, scheme_of, with_login


@pytest.mark.parametrize(
    ("url", "authority", "is_right", "shown"),
    [
        ("rtsp://user:hunter2@Door:554/1?p=hunter2", "Door:554", True, "rtsp://***@Door:554/1?***"),
        ("RTSP://[::1]/a", "[::1]", True, "rtsp://[::1]/a"),
        ("rtsp://[fe80::1%eth0]:554/a", "[fe80::1%eth0]:554", True, "rtsp://[fe80::1%eth0]:554/a"),
        ("rtsp:///a", "", False, "rtsp:///a"),
        ("rtsp:///user:hunter2/a", "", False, "rtsp://***"),
        ("rtsp://user:hunter2@/a", "", False, "rtsp://***@/a"),
        ("rtsp://user:hunter2@[::1/a", "[::1", False, "rtsp://***"),
        ("rtsp://user:p@ss@door/1", "door", True, "rtsp://***@door/1"),
        ("rtsp://user:hunt/er2@door/1", "user:hunt", False, "rtsp://***@door/1"),
        ("rtsp://user:hunt#er2@door/1", "user:hunt", False, "rtsp://***@door/1"),
        ("rtsp://user:hunt?er2@door/1", "user:hunt", False, "rtsp://***@door/1"),
        ("rtsp://user:80/hunter2@door/1", "user:80", True, "rtsp://***@door/1"),
        ("rtsp://door/stream@2x", "door", True, "rtsp://***@2x"),
        ("rtsp://user:hunter2", "user:hunter2", False, "rtsp://***"),
        ("rtsp://user:hunter2/door/1", "user:hunter2", False, "rtsp://***"),
        ("rtsp://user:hunt er2@door/1", "door", True, "rtsp://***@door/1"),
        ("rtsp://door:0/1", "door:0", False, "rtsp://***"),
        ("rtsp://door:99999/1", "door:99999", False, "rtsp://***"),
        ("rtsp:/user:hunter2@door/1", "door", True, "rtsp://***@door/1"),
        ("rtsp:user:hunter2@door/1", "door", True, "rtsp://***@door/1"),
        (" rtsp://user:hunter2@door/1", "door", True, "rtsp://***@door/1"),
        ("rtsp://door/user=admin_password=hunter2_channel=1", "door", True, "rtsp://door/user=***"),
        ("rtsp://door/1/PWD%3Dhunter2", "door", True, "rtsp://door/1/PWD%3D***"),
        ("rtsp://door/password:hunter2/1", "door", True, "rtsp://door/password:***"),
        ("rtsp://door/ch=1/main", "door", True, "rtsp://door/ch=1/main"),
        ("http://door/1?mail=a@b&token=hunter2", "door", True, "http://***"),
        ("http://door/1#token=hunter2", "door", True, "http://door/1"),
    ],
)
def test_an_address(url: str, authority: str, is_right: bool, shown: str) -> None:
    parts = parsed(url)
    assert parts is not None
    assert (parts.authority, parts.is_right, redacted(url)) == (authority, is_right, shown)
    assert "hunter2" not in redacted(url)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("videos/a.mp4", "videos/a.mp4"),
        ("C:/videos/a.mp4", "C:/videos/a.mp4"),
        ("/videos/a@b?c.mp4", "/videos/a@b?c.mp4"),
        ("12:30.mp4", "12:30.mp4"),
        ("user:hunter2@door/1", "***@door/1"),
        ("//user:hunter2@door/1", "***@door/1"),
        ("/user=admin&password=hunter2", "/user=***"),
    ],
)
def test_a_path(path: str, shown: str) -> None:
    assert (scheme_of(path), redacted(path)) == ("", shown)


@pytest.mark.parametrize(
    ("url", "username", "password", "expected"),
    [
        ("rtsp://door:554/1?a=b#c", "me", "p@:/ss%", "rtsp://me:p%40%3A%2Fss%25@door:554/1?a=b#c"),
        ("rtsp://door/1", "me", None, "rtsp://me@door/1"),
        ("RTSP:/door/1", None, None, "rtsp://door/1"),
        ("rtsp://user:p@ss@door/1", None, None, "rtsp://user:p@ss@door/1"),
        ("videos/a.mp4", None, None, "videos/a.mp4"),
    ],
)
def test_how_ffmpeg_gets_it(url: str, username: str | None, password: str | None, expected: str) -> None:
    assert with_login(url, username, password) == expected
