"""What a stream that is added at run time may be."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from daemon.control.settings import StreamSettings, with_defaults
from daemon.errors import InvalidDocument, Problem
from daemon.wire.codec import Members

Contradictions = Callable[[str, StreamSettings], Iterable[Problem]]


class RunTime:
    """Reads the settings of streams that are added at run time."""

    def __init__(self, defaults: BaseModel, contradictions: Contradictions) -> None:
        """`contradictions`: of settings that are right by themselves."""
        self.defaults = defaults
        self._contradictions = contradictions

    def accept(self, stream: str, members: Members) -> StreamSettings:
        """Raises InvalidDocument."""
        try:
            settings = StreamSettings.model_validate(with_defaults(self._defaults(), members))
        except ValidationError as err:
            raise InvalidDocument(
                [Problem(one["loc"], one["msg"], one["type"]) for one in err.errors(include_input=False)]
            ) from None
        if problems := list(self._contradictions(stream, settings)):
            raise InvalidDocument(problems)
        return settings

    def _defaults(self) -> Mapping[str, Any]:
        """Without those that would go to an address of another's choice."""
        return self.defaults.model_dump(exclude_unset=True, exclude={"username", "password", "ffmpeg_options"})
