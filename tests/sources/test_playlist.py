import pytest

from daemon.sources.playlist import Playlist, variant


def playlist(first: int, count: int, *, ended: bool = True, duration: float = 2.0) -> Playlist:
    lines = ["#EXTM3U", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    for number in range(first, first + count):
        lines += [f"#EXTINF:{duration},", f"live{number}.ts"]
    return Playlist.parse("\n".join([*lines, *["#EXT-X-ENDLIST"] * ended]))


def test_what_a_playlist_says() -> None:
    read = playlist(7, 2)
    assert (read.sequence, read.next, read.ended, read.durations) == (7, 9, True, (2.0, 2.0))
    assert not playlist(7, 2, ended=False).ended
    with pytest.raises(ValueError, match="expected a playlist"):
        Playlist.parse("<html>")


@pytest.mark.parametrize(
    ("now", "skip"),
    [
        (playlist(10, 5), None),
        (playlist(10, 5, ended=False), None),
        (playlist(10, 7), 5),
        (playlist(13, 4, ended=False), 2),
        (playlist(30, 5), 0),
        (playlist(0, 3), 0),
        (playlist(10, 2), 0),
        (playlist(10, 5, duration=1.9), 0),
        (playlist(10, 0), None),
    ],
    ids=["the same", "open again", "longer", "moved on", "far on", "anew", "shorter", "other segments", "empty"],
)
def test_what_is_new_after_segments_10_to_14(now: Playlist, skip: int | None) -> None:
    assert now.played_already(playlist(10, 5)) == skip


def test_a_master_playlist_leads_to_its_first_variant() -> None:
    master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow/a.m3u8?t=1\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh.m3u8\n"
    assert variant(master, "http://door/cam/live.m3u8") == "http://door/cam/low/a.m3u8?t=1"
    assert variant("#EXTM3U\n#EXTINF:2,\na.ts\n", "http://door/live.m3u8") is None
