"""The errors of the daemon. Each is raised near its cause; the policy hangs on the class, never on its words.

VisagedError
├── ConfigError            the configuration says something that cannot be: exit status 2, nothing was started
├── StateInUse             another daemon has the state_dir, and did not give it up in time
├── RegistryError          what was wanted at run time could not be kept: nothing was changed
├── HistoryError           what has happened cannot be kept or looked up now: the disk is full, or read-only
│   ├── HistoryDamaged     its file is no database any more; a new one is begun when it has been moved away
│   └── HistoryRefused     its file is of another version, or of another program: exit status 1
├── NotKept                it is not in the history, or no longer, or there is no history
├── LinkExpired            a signed URL that was good until some time ago
├── UnknownStream          no stream has this id
├── Conflict               what was asked for does not go together with what is
├── PreconditionFailed     it is not as the one who asked believes: nothing was changed
├── RequestFailed          what was asked over HTTP, of a daemon or a registry of schemas, is not done
│   ├── RequestRefused     it says no (`status`, `detail`, `problems`, `retry_after`)
│   │   └── NotFound       it has no such thing (404)
│   ├── NoAnswer           nobody answers there, or not in time
│   └── UnexpectedAnswer   what answers there is something else
├── SourceError            a source ended or could not be opened; the supervisor tries again
│   ├── SourceSpent        a file has been read up to what cannot be: read again, it would bring the same again
│   ├── SourceEnded        a live source said it was over, which for a live source is a disconnect
│   ├── CredentialsRefused a camera takes neither user nor password: tried again seldom, as accounts are locked
│   └── AddressRefused     a stream that was added at run time may not call there
├── DeadlineExceeded       work was too late and was skipped
│   └── SearchTooLong      there is too much to search in the history
├── EngineClosed           work came after the engine had stopped
├── WorkerHung             work that did not end was given up, with the thread that it is in
├── AlwaysHangs            work on an input record that has hung so often that it is not begun again
├── EngineStuck            that has happened too often: the process is to be started afresh
├── TooOften               who asks has asked too often, or for what is being done (`retry_after`, seconds)
├── Overloaded             as much is being worked on as is allowed
├── InvalidDocument        JSON that is broken, or whose members are (`problems`, each with its place)
├── UnreadableRecord       an input record, or a batch of them, that cannot be told apart from its neighbours
├── BadBase64              an image or a template that is not base64
├── TooManyBytes           an image or a request larger than the limit
├── MoreThanOneFace        a picture of several faces where one is to be judged
├── LowQuality             a face that is too bad to be judged
└── BadImage               bytes that are not a picture we take (`why`, for people)
    ├── UnsupportedImage   another format
    ├── DamagedImage       a picture of a format we take that cannot be decoded
    ├── ImageTooLarge      more pixels than the limit
    └── TooMuchWork        more passes over its pixels than the limit

Errors of a sink (SinkError) live in sinks/base.py and those of the models (ModelError) in models/, as both packages
know nothing of this one.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class VisagedError(Exception):
    """Base of all above."""


class ConfigError(VisagedError):
    """The configuration cannot be used."""


class StateInUse(VisagedError):
    """Another daemon keeps its state in the folder."""


class RegistryError(VisagedError):
    """A stream that is wanted cannot be kept."""


class HistoryError(VisagedError):
    """The history cannot be read or written now."""


class HistoryDamaged(HistoryError):
    """Its file cannot be used any more."""


class HistoryRefused(HistoryError):
    """Its file is not ours to change."""


class NotKept(VisagedError):
    """Not in the history."""


class LinkExpired(VisagedError):
    """A URL whose time is over."""


class UnknownStream(VisagedError):
    """There is no such stream."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"No stream has the id {stream[:100]}")


class Conflict(VisagedError):
    """It cannot be now, or not here."""


class PreconditionFailed(VisagedError):
    """Another has been there first."""


class RequestFailed(VisagedError):
    """What was asked over HTTP is not done."""


class RequestRefused(RequestFailed):
    """What was asked says no.

    `status` is HTTP's and `detail` says why. `problems` are the mistakes of a document (422), each with its place.
    `retry_after`: seconds after which to ask again, where that may help.
    """

    def __init__(
        self,
        url: str,
        status: int,
        detail: str,
        problems: "Sequence[Problem]" = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{url}: {status}: {detail}")
        self.status = status
        self.detail = detail
        self.problems = tuple(problems)
        self.retry_after = retry_after


class NotFound(RequestRefused):
    """There is no such thing, or no longer."""


class NoAnswer(RequestFailed):
    """Nobody is there, or too slow, or the connection was cut."""


class UnexpectedAnswer(RequestFailed):
    """Not as visaged answers."""


class SourceError(VisagedError):
    """A source cannot be read."""


class SourceEnded(SourceError):
    """A live source ended."""


class SourceSpent(SourceError):
    """A file brought what it has, and then could not be read."""


class CredentialsRefused(SourceError):
    """A camera does not let us in."""


class AddressRefused(SourceError):
    """An address that is not to be called."""


class DeadlineExceeded(VisagedError):
    """The deadline passed before or while the work was done."""


class SearchTooLong(DeadlineExceeded):
    """A query of the history was cut off."""


class EngineClosed(VisagedError):
    """The engine takes no more work."""


class WorkerHung(VisagedError):
    """The work did not end in time."""


class AlwaysHangs(VisagedError):
    """The work did not end, as often as it was begun."""


class EngineStuck(VisagedError):
    """Too many workers have hung."""


class TooOften(VisagedError):
    """Asked for more than is done for one who asks."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(VisagedError):
    """Come again later."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of a document, in pydantic's words: `loc` are the keys that lead there."""

    loc: tuple[str | int, ...]
    msg: str
    type: str


class InvalidDocument(VisagedError):
    """A document that cannot be used."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, p.loc)) or 'document'}: {p.msg}" for p in problems))
        self.problems = tuple(problems)


class UnreadableRecord(VisagedError):
    """What a broker sent cannot be taken apart into records."""


class BadBase64(VisagedError):
    """Not base64, or nothing in it."""


class TooManyBytes(VisagedError):
    """`what`, the image or the body, is larger than allowed; `size` None: by how much is not known."""

    def __init__(self, what: str, size: int | None, limit: int) -> None:
        came = f"has {size:,} bytes" if size is not None else "has more bytes than allowed"
        super().__init__(f"Request body size is too large: the {what} {came}, the limit is {limit:,}")


class MoreThanOneFace(VisagedError):
    """Expected one face at most."""

    def __init__(self) -> None:
        super().__init__("More than one face detected")


class LowQuality(VisagedError):
    """Expected a `measure` of `threshold` or more; score and threshold are whole numbers, 0..100."""

    def __init__(self, score: int, threshold: int, measure: str = "score value") -> None:
        super().__init__(f"Low image quality. Calculated {measure} ({score}) is less than the threshold ({threshold})")


class BadImage(VisagedError):
    """Bytes that are no picture we can take."""


class UnsupportedImage(BadImage):
    """Not JPEG, PNG, BMP or WebP by its first bytes."""


class DamagedImage(BadImage):
    """Cut short or broken."""


class ImageTooLarge(BadImage):
    """More pixels than allowed."""


class TooMuchWork(BadImage):
    """More passes over its pixels than allowed, told from its structure."""


def words(error: Exception) -> str:
    """What is wrong, without the number and the path that Python puts around what the system says."""
    return getattr(error, "strerror", None) or str(error)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; expected one of {', '.join(known)}" if known else ""
