"""URLs of shots: with a signature they are good for a while, and for nothing else."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from daemon.errors import LinkExpired
from daemon.history.urls import ShotUrls


class Clock:
    now = 1_800_000_000.25

    def __call__(self) -> float:
        return self.now


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def test_without_a_signature_it_is_a_path_or_below_the_public_url() -> None:
    assert ShotUrls("", None)("abc") == "/shots/abc.jpg"
    assert ShotUrls("https://example.org/cams", None)("abc") == "https://example.org/cams/shots/abc.jpg"


def test_a_signed_one_is_good_for_its_time_alone() -> None:
    clock = Clock()
    urls = ShotUrls("", 60.0, clock)
    query = query_of(urls("abc"))
    assert query["expires"] == "1800000061"
    assert urls.is_signed("abc", query)
    clock.now += 60
    assert urls.is_signed("abc", query)
    clock.now += 1
    with pytest.raises(LinkExpired):
        urls.is_signed("abc", query)


@pytest.mark.parametrize(
    ("shot", "change"),
    [
        ("abd", {}),
        ("abc", {"expires": "1900000000"}),
        ("abc", {"expires": ""}),
        ("abc", {"expires": "nan"}),
        ("abc", {"signature": ""}),
        ("abc", {"signature": "é"}),
        ("abc", {"signature": "0" * 64}),
    ],
)
def test_what_was_changed_is_not_signed(shot: str, change: dict[str, str]) -> None:
    urls = ShotUrls("", 60.0, Clock())
    query = query_of(urls("abc"))
    assert urls.is_signed("abc", query)
    assert not urls.is_signed(shot, query | change)
    assert not urls.is_signed("abc", {})


def test_another_secret_and_none_at_all() -> None:
    query = query_of(ShotUrls("", 60.0)("abc"))
    assert not ShotUrls("", 60.0).is_signed("abc", query)
    unsigned = ShotUrls("", None)
    assert not unsigned.is_signed("abc", query)
