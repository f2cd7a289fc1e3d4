"""The addresses of a camera's streams, by ONVIF: the only module that knows onvif-zeep-async (the extra `onvif`)."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daemon.errors import ConfigError, SourceError
from daemon.sources.url import parsed

if TYPE_CHECKING:
    from onvif import ONVIFCamera

MOST_PROFILES = 16
RTSP_OVER_TCP = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}


@dataclass(frozen=True, slots=True)
class Profile:
    """One of the streams that a camera offers; None: it does not say."""

    name: str | None
    codec: str | None
    """As ONVIF calls it: H264, H265, JPEG."""
    width: int | None
    height: int | None
    url: str
    """Without a login, at the address of its device service."""


async def profiles(service: str, username: str, password: str, within: float) -> list[Profile]:
    """The streams of the camera with this device service. Raises SourceError, and ConfigError without the extra."""
    camera_class, refusals = await asyncio.to_thread(_library)  # which takes a second
    url = parsed(service)
    if url is None or url.port is None:
        raise SourceError(f"{service}: expected the http:// or https:// address of a device service")
    host = f"https://{url.host}" if url.scheme == "https" else url.host
    try:
        async with asyncio.timeout(within), _opened(camera_class, host, url.port, username, password) as camera:
            await camera.update_xaddrs()
            media = await camera.create_media_service()
            return [await _profile(media, profile, url.host) for profile in (await media.GetProfiles())[:MOST_PROFILES]]
    except TimeoutError as err:
        raise SourceError(f"{service}: no answer to ONVIF's questions in {within:g} s") from err
    except refusals as err:
        raise SourceError(
            f"{service}: refuses, or is no ONVIF camera: check user and password: {str(err)[:200]}"
        ) from err


def _library() -> tuple[type["ONVIFCamera"], tuple[type[Exception], ...]]:
    try:
        from aiohttp import ClientError
        from lxml.etree import LxmlError
        from onvif import ONVIFCamera, ONVIFError
        from zeep.exceptions import Error
    except ImportError as err:
        raise ConfigError(
            f"streams are asked for by onvif-zeep-async, which is missing ({err.name}): pip install 'visaged[onvif]'"
        ) from err
    logging.getLogger("onvif").setLevel(logging.CRITICAL)
    # The builtin ones are of answers of another shape than ONVIF's.
    unlike = (OSError, MemoryError, ValueError, TypeError, AttributeError)
    return ONVIFCamera, (ClientError, LxmlError, ONVIFError, Error, *unlike)


@contextlib.asynccontextmanager
async def _opened(
    camera_class: type["ONVIFCamera"], host: str, port: int, username: str, password: str
) -> AsyncIterator["ONVIFCamera"]:
    """`nat_override`: what the camera names of its services is called at this host, and the login goes nowhere else."""
    camera = camera_class(host, port, username, password, no_cache=True, adjust_time=True, nat_override=True)
    try:
        yield camera
    finally:
        await camera.close()


async def _profile(media: Any, profile: Any, host: str) -> Profile:
    answer = await media.GetStreamUri({"StreamSetup": RTSP_OVER_TCP, "ProfileToken": profile.token})
    url = parsed(answer.Uri or "")
    if url is None or not url.is_right:
        raise ValueError("expected the address of a stream")
    encoder = profile.VideoEncoderConfiguration
    size = None if encoder is None else encoder.Resolution
    return Profile(
        name=profile.Name,
        codec=None if encoder is None else encoder.Encoding,
        width=None if size is None else size.Width,
        height=None if size is None else size.Height,
        url=url._replace(login="").at(host),
    )
