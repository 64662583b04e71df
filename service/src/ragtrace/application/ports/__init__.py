"""Ports: what the use cases need from outside, as protocols. Twins live in `ragtrace.testing`."""

from __future__ import annotations

from ragtrace.application.ports.answering import Answerer
from ragtrace.application.ports.documents import (
    Clock,
    DocumentParser,
    DocumentReader,
    DocumentSource,
    FileContent,
    FoundFile,
    ReadFile,
)
from ragtrace.application.ports.embedding import OUTPUTS, Embedding, EmbeddingCache, EmbeddingModel, Output
from ragtrace.application.ports.language import Finish, Generation, LanguageModel, Message, Role, Usage, never
from ragtrace.application.ports.lexical import Hit, IndexEntry, IndexMark, LexicalAnalyzer, LexicalIndex
from ragtrace.application.ports.records import Records, RecordsState, RefusedFile, StoredDocument
from ragtrace.application.ports.reranking import Reranker
from ragtrace.application.ports.vectors import OwnedVectors, VectorEntry, VectorIndex

__all__ = [
    "OUTPUTS",
    "Answerer",
    "Clock",
    "DocumentParser",
    "DocumentReader",
    "DocumentSource",
    "Embedding",
    "EmbeddingCache",
    "EmbeddingModel",
    "FileContent",
    "Finish",
    "FoundFile",
    "Generation",
    "Hit",
    "IndexEntry",
    "IndexMark",
    "LanguageModel",
    "LexicalAnalyzer",
    "LexicalIndex",
    "Message",
    "Output",
    "OwnedVectors",
    "ReadFile",
    "Records",
    "RecordsState",
    "RefusedFile",
    "Reranker",
    "Role",
    "StoredDocument",
    "Usage",
    "VectorEntry",
    "VectorIndex",
    "never",
]
