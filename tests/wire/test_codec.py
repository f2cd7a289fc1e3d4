import pytest

from daemon.errors import InvalidDocument, Problem
from daemon.wire.codec import encode, parse


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ('{"b":1,"a":[true,null,"é\\u0000"]}', None),
        ("123456789012345678901234567890", None),
        ('{"whole":1,"real":1.0,"small":1e-7,"negative":-0.0}', None),
        ('{"a":1,"a":2}', '{"a":2}'),
        ("[" * 150 + "]" * 150, None),
    ],
)
def test_a_value_comes_back_as_it_came(text: str, again: str | None) -> None:
    assert encode(parse(text.encode())).decode() == (again or text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{} x",
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b'["\\ud800"]',
        b'["\xff"]',
        b'["\x01"]',
        '{"a":1}'.encode("utf-16"),
        b"[" * 100_000,
        b"9" * 5000,
    ],
    ids=range(12),
)
def test_what_is_not_json_is_invalid(data: bytes) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse(data)
    (problem,) = caught.value.problems
    assert (problem.loc, problem.type) == ((), "json_invalid")
    assert problem.msg.startswith("JSON decode error: ")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400 + ".5"])
def test_a_number_that_no_double_holds_is_invalid(number: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse(b'{"objects":[{},{"bbox":[0,%s]}]}' % number.encode())
    expected = Problem(("objects", 1, "bbox", 1), "Input should be a finite number", "finite_number")
    assert caught.value.problems == (expected,)


def test_a_byte_order_mark_is_ignored() -> None:
    assert parse(b'\xef\xbb\xbf {"a": "\xef\xbb\xbf"}') == {"a": "\ufeff"}
