"""Server-sent events from their bytes, and when a subscription goes on."""

import pytest

from daemon.client import NoAnswer, RequestRefused, UnexpectedAnswer
from daemon.client.documents import View
from daemon.client.events import RETRY_S, Event, Parser, Subscription

TOLD = b"""retry: 500
id: r-1

: a comment
id: r-2
event: track
data: {"event": "left"}

id: r-3
event: later\r
data: {"a":
data:1}\r
\r
data: x
unknown: field
retry: soon

"""
EVENTS = [
    Event("r-2", "track", '{"event": "left"}'),
    Event("r-3", "later", '{"a":\n1}'),
    Event("r-3", "message", "x"),
]


@pytest.mark.parametrize("size", [1, 7, len(TOLD)])
def test_bytes_are_taken_as_they_come(size: int) -> None:
    parser = Parser()
    events = [event for at in range(0, len(TOLD), size) for event in parser.feed(TOLD[at : at + size])]
    assert events == EVENTS
    assert (parser.last_id, parser.retry_s) == ("r-3", 0.5)


def test_what_a_later_version_tells_is_json_and_what_is_none_says_so() -> None:
    _, later, broken = EVENTS
    assert later.data == View({"a": 1})
    assert later.json == {"a": 1}
    with pytest.raises(UnexpectedAnswer, match="the data of the event r-3"):
        _ = broken.data


def last_id(subscription: Subscription) -> str | None:
    return subscription.connect().headers.get("Last-Event-ID")


def test_it_goes_on_behind_the_last_whole_event() -> None:
    subscription = Subscription("a/b", ["track", "place"], None)
    assert subscription.connect().path == "/streams/a%2Fb/events?types=track%2Cplace"
    assert last_id(subscription) is None
    cut = b"id: r-1\n\nid: r-2\ndata: 1\n\nid: r-3\ndata: 2\n"
    assert list(subscription.feed(cut)) == [Event("r-2", "message", "1")]
    assert last_id(subscription) == "r-2"
    assert list(subscription.feed(b"\n")) == []  # what was under way in the connection before is gone with it
    assert last_id(Subscription(None, (), "r-7")) == "r-7"
    assert Subscription(None, "track", None).connect().path == "/events?types=track"


def refused(status: int, retry_after: float | None = None) -> RequestRefused:
    return RequestRefused("http://127.0.0.1:1", status, "No", retry_after=retry_after)


def test_what_never_began_is_not_tried_again() -> None:
    for err in (NoAnswer("nobody"), refused(503)):
        with pytest.raises(type(err)):
            Subscription(None, (), None).failed(err)


def test_what_passes_is_waited_for_and_what_does_not_is_told() -> None:
    subscription = Subscription(None, (), None)
    assert list(subscription.feed(b"id: r-1\n\n")) == []
    for err, wait_s in (
        (NoAnswer("cut"), RETRY_S),
        (refused(503), RETRY_S),
        (refused(502), RETRY_S),
        (refused(429, retry_after=9), 9.0),
        (NoAnswer("cut"), RETRY_S),
    ):
        subscription.connect()
        subscription.failed(err)
        assert subscription.wait_s == wait_s
    for status in (401, 403, 404, 422, 500):
        with pytest.raises(RequestRefused):
            subscription.failed(refused(status))
    with pytest.raises(UnexpectedAnswer):
        subscription.failed(UnexpectedAnswer("a page"))
    assert list(subscription.feed(b"retry: 100\n")) == []
    assert subscription.wait_s == 0.1
