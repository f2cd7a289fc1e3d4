"""What a key may, and how often."""

import math

import pytest

from daemon.http.access.errors import TooManyRequests
from daemon.http.access.keys import KEY, Bucket, Key, Keys, digest, new_key, redacted
from tests.http.access.calls import settings_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_key_has_256_random_bits_and_a_public_part() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(KEY.fullmatch(key) and len(key.partition("_")[2].partition("_")[2]) * 6 >= 256 for key in keys)


def test_a_text_is_shown_without_the_secrets_of_its_keys() -> None:
    one, other = new_key(), new_key()
    assert redacted(f"a {one}/{other}?b") == f"a {one[:12]}_***/{other[:12]}_***?b"


@pytest.mark.parametrize(
    ("streams", "seen"),
    [(["*"], {"door", "Door", "yard-1"}), (["yard-?", "door"], {"door", "yard-1"}), ([], set())],
)
def test_a_key_is_for_the_streams_of_its_patterns(streams: list[str], seen: set[str]) -> None:
    key = Key("a", settings_of(new_key(), ["watch"], streams=streams))
    assert {stream for stream in ("door", "Door", "yard-1") if key.may("watch", stream)} == seen
    assert key.may("watch")
    assert not key.may("control", "door")


def test_only_the_key_itself_is_found() -> None:
    key, other = new_key(), new_key()
    keys = Keys({"a": settings_of(key, ["query"]), "b": settings_of(other, ["query"])})
    found = [keys.find(text) for text in (key, other)]
    assert [one and one.name for one in found] == ["a", "b"]
    for wrong in (key[:-1], f"{key} ", key.swapcase(), new_key(), digest(key), "", "é"):
        assert keys.find(wrong) is None


def test_the_hash_of_what_is_no_key_lets_nobody_in() -> None:
    """As of a password that someone thought would do."""
    for text in ("", "secret"):
        assert Keys({"a": settings_of(text, ["query"])}).find(text) is None


def test_all_hashes_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def compare_digest(came: str, known: str) -> bool:
        compared.append(known)
        return came == known

    monkeypatch.setattr("hmac.compare_digest", compare_digest)
    secrets = [new_key() for _ in range(3)]
    keys = Keys({f"k{n}": settings_of(key, ["query"]) for n, key in enumerate(secrets)})
    assert keys.find(secrets[0]) is keys.of_name("k0")
    assert compared == [digest(key) for key in secrets]


def test_a_key_that_is_removed_or_changed_may_nothing_wherever_it_is_held() -> None:
    secret, other = new_key(), new_key()
    keys = Keys({name: settings_of(key, ["watch"]) for name, key in (("a", secret), ("b", other))})
    a, b = keys.find(secret), keys.find(other)
    assert a is not None and b is not None
    keys.replace({"a": settings_of(new_key(), ["watch"])})
    assert not a.may("watch") and not b.may("watch")
    assert keys.find(secret) is keys.find(other) is keys.of_name("b") is None


def test_a_key_that_stays_keeps_what_it_has_used_up() -> None:
    secret = new_key()
    keys = Keys({"a": settings_of(secret, ["watch"], concurrent=1)})
    key = keys.find(secret)
    assert key is not None
    with key.one():
        keys.replace({"a": settings_of(secret, ["control"], concurrent=1), "b": settings_of(new_key(), ["watch"])})
        assert keys.find(secret) is key
        assert (key.may("watch"), key.may("control")) == (False, True)
        with pytest.raises(TooManyRequests, match="1 requests at the same time"), key.one():
            pass
    with key.one():
        pass


def test_without_keys_anyone_may_all_until_there_are_some() -> None:
    keys = Keys({})
    assert keys.anyone.may("control", "door")
    keys.replace({"a": settings_of(new_key(), ["watch"])})
    assert not keys.anyone.may("watch", "door")


def test_a_bucket_has_a_second_s_worth_and_fills_at_its_rate() -> None:
    clock = Clock()
    bucket = Bucket(clock)
    assert [bucket.take(4.0) for _ in range(4)] == [0.0] * 4
    assert bucket.take(4.0) == 0.25
    clock.now += 0.25
    assert (bucket.take(4.0), bucket.take(4.0)) == (0.0, 0.25)
    clock.now += 1000
    assert sum(bucket.take(4.0) == 0.0 for _ in range(10)) == 4


def test_a_rate_below_one_a_second() -> None:
    clock = Clock()
    bucket = Bucket(clock)
    assert bucket.take(0.1) == 0.0
    assert math.isclose(bucket.take(0.1), 10.0)
    clock.now += 9.9
    assert bucket.take(0.1) > 0
    clock.now += 0.2
    assert bucket.take(0.1) == 0.0


def test_a_first_look_is_one_for_each_stream() -> None:
    key = Key("a", settings_of(new_key(), ["watch"]))
    assert [key.looks_first_at(stream) for stream in ("door", "yard", "door")] == [True, True, False]
