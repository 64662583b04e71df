"""Where things came from, as a document may say it: no credentials, no folders of the build box."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

_PYPI_HOSTS = ("pypi.org", "files.pythonhosted.org", "pypi.python.org")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*)://[^\s]+", re.IGNORECASE)


def shown(source: str) -> str:
    """Return a source with its URL freed of credentials, query and, if it is a local file, its folders."""
    return _URL.sub(lambda found: _shown_url(found.group()), source)


def host(source: str) -> str:
    """Return the host a source was fetched from, ``local`` for a file given here, else the words as they are."""
    found = _URL.search(source)
    if found is None:
        return "local" if source.startswith("path:") else source
    parts = _split(found.group())
    if parts is None:
        return "?"
    if parts.scheme == "hf":
        return "huggingface.co"
    return parts.hostname or "local"


def is_pypi(source: str) -> bool:
    """Return whether the file came from the Python Package Index itself."""
    return host(source) in _PYPI_HOSTS


def repository(source: str) -> str:
    """Return the index that a file's URL belongs to, as a package URL names it."""
    parts = _split(source)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts and parts.hostname else ""


def _shown_url(url: str) -> str:
    parts = _split(url)
    if parts is None:
        return "?"
    if parts.scheme.lower() == "file":
        return f"file:…/{unquote(parts.path).rstrip('/').rpartition('/')[2]}"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def of_model(source: str) -> str:
    """Return where a model came from: its repository's page, or the words as they are (``local``)."""
    return f"https://huggingface.co/{source}" if _REPOSITORY.match(source) else shown(source)


def as_iri(url: str) -> str:
    """Return a URL of strangers with everything quoted that a reference must not hold."""
    # A percent sign that quotes nothing is a sign like any other; a second # would be another fragment.
    mended = re.sub("%(?![0-9A-Fa-f]{2})", "%25", url)
    front, mark, fragment = mended.partition("#")
    return quote(front, safe="%/:=&?~+!$,;'@()*-._") + mark + quote(fragment, safe="%/:=&?~+!$,;'@()*-._")
