"""Which trace a document is of."""

import re

import pytest

from daemon.wire.trace import trace_headers

TRACE = "0af7651916cd43dd8448eb211c80319c"
CAME = f"00-{TRACE}-b7ad6b7169203331-01"


def test_a_document_is_a_child_of_what_came() -> None:
    (name, value), state = trace_headers((CAME, "vendor=1,other=2"))
    assert name == "traceparent"
    assert re.fullmatch(rf"00-{TRACE}-(?!b7ad6b7169203331)[0-9a-f]{{16}}-01", value.decode())
    assert state == ("tracestate", b"vendor=1,other=2")


@pytest.mark.parametrize("state", ["", "a\nb", "\u00e4=1", "a" * 513])
def test_a_state_that_is_none_does_not_go_on(state: str) -> None:
    ((name, value),) = trace_headers((CAME, state))
    assert (name, value[3:35]) == ("traceparent", TRACE.encode())


def test_what_comes_of_a_later_version_goes_on_as_ours() -> None:
    ((_, value),) = trace_headers((CAME.replace("00-", "01-", 1), ""))
    assert value.startswith(f"00-{TRACE}-".encode())


@pytest.mark.parametrize(
    "came",
    [None, ("", "a=1"), ("junk", "a=1"), (CAME.upper(), ""), (f"ff{CAME[2:]}", ""), (f"00-{'0' * 32}{CAME[35:]}", "")],
)
def test_without_a_valid_one_it_begins_a_trace(came: tuple[str, str] | None) -> None:
    (first,), (second,) = trace_headers(came), trace_headers(came)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", first[1].decode())
    assert first[1][3:35] != second[1][3:35]
