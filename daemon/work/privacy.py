"""Settings of what leaves the daemon; imports nothing heavy, as every command reads it."""

from collections.abc import Collection, Mapping
from typing import Literal, cast

from pydantic import Field, create_model

from configs.section import Section
from daemon.work.places.settings import PlaceName
from processors.types import Label

Hide = Literal["faces", "bodies"]


class PrivacySettings(Section):
    hide: Hide | None = Field(
        None,
        description="Who is hidden on every picture that leaves: faces, or bodies with the faces that the chain finds. "
        "Boxes grown by half are filled with grey, as found on the very frame; a frame that was not looked at gives no "
        "picture. Whom the detector misses is not hidden: docs/privacy.md says how many. null: nobody.",
    )
    templates: bool = Field(
        True,
        description="Whether streams and consumers may make templates of faces, with which a person can be recognised "
        "elsewhere. false: a chain with template-extractor is refused. The HTTP services are not asked: they answer "
        "with templates of pictures that were sent to them.",
    )


class OwnPrivacySettings(PrivacySettings):
    """Of a stream or a consumer; what it does not say, the file's `privacy` says."""


_WithExcept = create_model(
    "_WithExcept",
    __base__=OwnPrivacySettings,
    **{  # type: ignore[call-overload]
        "except": (  # a word that no attribute in a class body can have
            tuple[PlaceName, ...],
            Field(
                (),
                description="Names of `zones` of the stream, as a list: who is in them, by the zone's `point`, is not "
                "hidden. []: all are.",
            ),
        )
    },
)


class StreamPrivacySettings(_WithExcept):
    """Of a stream, which has zones."""

    @property
    def excepted(self) -> tuple[str, ...]:
        return cast("tuple[str, ...]", getattr(self, "except"))


LABELS: Mapping[Hide, Label] = {"faces": "face", "bodies": "body"}


def hidden_by(hide: Hide | None, found: Collection[Label]) -> frozenset[Label]:
    """The classes that are hidden where a chain finds these: a body has its face, which may be found without it."""
    if hide is None:
        return frozenset()
    also: frozenset[Label] = frozenset(found) if hide == "bodies" else frozenset()
    return also | {LABELS[hide]}
