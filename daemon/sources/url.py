"""Addresses of sources, and how they are shown."""

from urllib.parse import urlsplit, urlunsplit


def scheme_of(url: str) -> str:
    """In lower case; a plain path has none."""
    scheme, colon, _ = url.partition("://")
    return scheme.lower() if colon else ""


def redacted(url: str) -> str:
    """Without what may be a secret: user and password, and the query, where cameras take theirs."""
    if not scheme_of(url):
        return url
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, f"***@{host}" if at else host, parts.path, "***" if parts.query else "", ""))
