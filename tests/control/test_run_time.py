from daemon.control.run_time import AT_MOST, KEYS
from daemon.control.settings import StreamSettings


def test_somebody_has_thought_about_every_key_of_a_stream() -> None:
    """A new one is named here, or in KEYS where whoever may add streams may set it."""
    only_in_the_file: set[str] = set()
    assert set(StreamSettings.model_fields) == KEYS | only_in_the_file
    assert AT_MOST.keys() < KEYS
