"""Addresses of sources, and how they are shown."""

from urllib.parse import urlsplit, urlunsplit


def scheme_of(url: str) -> str:
    """The scheme in lower case; empty for a plain path."""
    scheme, colon, _ = url.partition("://")
    return scheme.lower() if colon else ""


def host_of(url: str) -> str:
    """The host; empty if there is none or it cannot be read."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def redacted(url: str) -> str:
    """Without what may be a secret: user and password, and the query, where cameras take theirs."""
    if not scheme_of(url):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{scheme_of(url)}://***"
    _, at, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, f"***@{host}" if at else host, parts.path, "***" if parts.query else "", ""))
