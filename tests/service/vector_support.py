"""Helpers of the vector index's tests: embeddings by number, and the indexes under test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ragtrace.adapters.vectors.payload import VectorPlan
from ragtrace.adapters.vectors.qdrant_edge import EdgeVectors
from ragtrace.adapters.vectors.qdrant_server import ServerVectors
from ragtrace.application.ports import OUTPUTS, Embedding, Output, StoredDocument, VectorEntry
from ragtrace.domain.chunks import Chunk, chunk_id
from ragtrace.domain.documents import Document, document_id
from tests.service.qdrant_loopback import loopback

DIMENSION = 16


def embedding(number: int, *, dimension: int = DIMENSION) -> Embedding:
    """Return all three vectors of the text with this number, the same each time."""
    random = np.random.default_rng(number)
    rows = random.standard_normal((3 + number % 4, dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    dense = random.standard_normal(dimension).astype(np.float32)
    # Token 0 stands in every text, so that sparse vectors find each of them.
    ids = np.unique(np.concatenate([[0], random.integers(1, 250_002, 5), [1000 + number]])).astype(np.int32)
    weights = (random.random(len(ids)) + 0.1).astype(np.float32)
    # The token of its own weighs most: a text is then the nearest to itself by the inner product too.
    weights[ids == 1000 + number] = 9.0
    return Embedding(dense / np.linalg.norm(dense), ids, weights, rows, len(rows) + 1)


def entry(document: str, chunk: str, number: int, *, date: str = "", group: str = "") -> VectorEntry:
    """Return the chunk of a document with the vectors of this number."""
    return VectorEntry(document, chunk, embedding(number), date, group)


def plan(fingerprint: str = "model-1", legs: tuple[Output, ...] = OUTPUTS) -> VectorPlan:
    """Return what the test indexes are made for."""
    return VectorPlan(fingerprint, DIMENSION, frozenset(legs))


@contextmanager
def edge_index(folder: Path) -> Iterator[EdgeVectors]:
    """Return an index of Qdrant Edge."""
    index = EdgeVectors(folder, plan())
    try:
        yield index
    finally:
        index.close()


def stored(path: str, *texts: str, date: str = "", group: str = "") -> StoredDocument:
    """Return a document with one chunk for each text."""
    key = document_id("memory", path)
    chunks = tuple(
        Chunk(chunk_id(key, number, text), key, number, ("절",), text) for number, text in enumerate(texts)
    )
    facts = ("memory", path, "제목", date, "0" * 64, 1, "r", len(chunks), "2026-01-01", group)
    return StoredDocument(Document(key, *facts), chunks)


@contextmanager
def server_index(folder: Path) -> Iterator[ServerVectors]:
    """Return an index at a server of Qdrant's kind."""
    with loopback() as server:
        index = ServerVectors(server.url, "", plan(), "r" * 32, folder, 100_000)
        index.acquire()
        try:
            yield index
        finally:
            index.close()
