from pathlib import Path

import pytest

from daemon.sources.url import PORTS, as_address, meant_scheme, misread, parsed, redacted, scheme_of, with_login


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


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("127.0.0.1:8554/faces", "rtsp://127.0.0.1:8554/faces"),
        ("10.0.0.5/1", "rtsp://10.0.0.5/1"),
        ("door:554", "rtsp://door:554"),
        ("[::1]:554/1", "rtsp://[::1]:554/1"),
        ("me:hunter2@door/1", "rtsp://***@door/1"),
        ("10.0.0.5/1?p=hunter2", "rtsp://10.0.0.5/1?***"),
        *((path, None) for path in ("none.jpg", "a/b.mp4", "/a/b.mp4", "./a:1/b", "C:/a", "12:30.mp4", "a@2x.png")),
    ],
)
def test_a_path_that_lacks_its_scheme(path: str, meant: str | None) -> None:
    assert as_address(path) == meant


def test_a_file_is_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert misread("door:1") == "door:1 is no address and no file: did you mean rtsp://door:1?"
    Path("door:1").touch()
    assert misread("door:1") is None
    assert misread(f"10.0.0.5/{'x' * 5000}") is not None, "no file can have such a name"


@pytest.mark.parametrize(("scheme", "meant"), [("rstp", "rtsp"), ("htps", "https"), ("ftp", None), ("file", None)])
def test_the_scheme_that_was_meant(scheme: str, meant: str | None) -> None:
    assert meant_scheme(scheme, PORTS) == (f"; did you mean {meant}://?" if meant else "")
