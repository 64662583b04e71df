"""Import what a command may need before root's rights are given up: an interpreter in root's home is out of reach then."""

from __future__ import annotations

import codecs
import importlib
from collections.abc import Iterable
from contextlib import suppress

from ragtrace.settings import Settings

# What no configuration leaves out.
_ALWAYS = (
    "ragtrace.adapters.analyzers",
    "ragtrace.adapters.backup",
    "ragtrace.adapters.clock",
    "ragtrace.adapters.data_folder",
    "ragtrace.adapters.data_inspection",
    "ragtrace.adapters.enterprise_validator",
    "ragtrace.adapters.extractive",
    "ragtrace.adapters.folder",
    "ragtrace.adapters.parse_pool",
    "ragtrace.adapters.processors",
    "ragtrace.adapters.sqlite_records",
    "ragtrace.adapters.tantivy_files",
    "ragtrace.adapters.tantivy_index",
    "ragtrace.application.ingest",
    "ragtrace.application.removal",
    "ragtrace.application.verification",
    "ragtrace.application.watching",
    # Of the standard library, imported at their first use by it or by us.
    "grp",
    "http.client",
    "pwd",
)
_CODECS = ("ascii", "cp949", "utf-16-le", "utf-16-be", "utf-8-sig", "idna")
# What the HTTP server finds by name when it starts and at the first requests.
_SERVING = (
    "anyio._backends._asyncio",
    "pydantic.v1",
    "uvicorn.lifespan.off",
    "uvicorn.loops.asyncio",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
# Read without a child; the parsers of the other formats are imported in children.
_FEW = ("csv_table", "html", "markdown", "plain_text")


def preload(settings: Settings, *, parsers: bool = False, serving: bool = False) -> None:
    """Import the adapters of this configuration now; with `parsers` those of every format, with `serving` the HTTP server's
    parts, libraries included.
    """
    for name in (*_ALWAYS, *(f"ragtrace.adapters.{name}" for name in _FEW)):
        importlib.import_module(name)
    for codec in _CODECS:
        codecs.lookup(codec)
    if serving:
        import_all(_SERVING)
    if parsers:
        from ragtrace.adapters.parsers import every_parser

        for parser in every_parser():
            parser.load()
    from ragtrace.adapters import analyzers

    import_all(analyzers.modules(settings.analyzer))
    _models(settings)


def import_all(names: Iterable[str]) -> None:
    """Import modules; a missing one is told in words by the adapter that needs it, where there is somebody to tell."""
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)


def _models(settings: Settings) -> None:
    if settings.embedding.model:
        from ragtrace.adapters.embedding import choose as embedding

        server = settings.vectors.store == "server"
        adapters = (
            "embedding_cache",
            f"vectors.{'qdrant_server' if server else 'embedded'}",
            "vectors.choose",
        )
        parts = ("cached_embedding", "following", "keeping", "vector_verification")
        import_all(f"ragtrace.adapters.{name}" for name in adapters)
        import_all(f"ragtrace.application.{name}" for name in parts)
        embedding.preload(settings.path(settings.embedding.model), settings.embedding)
    if settings.reranker.model:
        from ragtrace.adapters.reranking import choose as reranking

        reranking.preload(settings.path(settings.reranker.model), settings.reranker)
    if settings.model_writes:
        importlib.import_module("ragtrace.application.grounded")
    if settings.language.model or settings.language.url:
        from ragtrace.adapters.language import choose as language

        language.preload(settings)
