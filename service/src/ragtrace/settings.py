"""The settings of the service: every section, key and default. `config.py` fills them and checks their values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ServerSettings:
    """How the HTTP interface listens and what it refuses."""

    host: str = "127.0.0.1"
    port: int = 8400
    max_body_kb: int = 256
    max_concurrent: int = 16
    stop_timeout_s: int = 5
    language: str = "ko"
    access_log: bool = True


@dataclass(frozen=True)
class DataSettings:
    """Where documents' records and the index lie."""

    folder: str = "data"


@dataclass(frozen=True)
class AnalyzerSettings:
    """How text becomes search terms."""

    kind: str = "kiwi"
    workers: int = 0
    multiword: bool = False
    user_dictionary: str = ""


@dataclass(frozen=True)
class ChunkSettings:
    """How documents are cut."""

    size: int = 600
    least: int = 150
    overlap: int = 80


@dataclass(frozen=True)
class IngestSettings:
    """How documents are taken in."""

    max_file_mb: int = 32
    batch_documents: int = 300
    workers: int = 0


@dataclass(frozen=True)
class EmbeddingSettings:
    """Which model makes vectors, and how. No folder means that there is none: search is lexical only."""

    model: str = ""
    engine: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    threads: int = 0
    batch_size: int = 12
    batch_tokens: int = 8192
    max_tokens: int = 8192
    cache_entries: int = 10_000


@dataclass(frozen=True)
class VectorSettings:
    """Where vectors are kept; `url` is the Qdrant server's where `store` is `server`."""

    store: str = "embedded"
    url: str = ""
    api_key: str = ""
    colbert: bool = False
    exact_limit: int = 200_000


@dataclass(frozen=True)
class SearchSettings:
    """What is retrieved for a question."""

    top_n: int = 5
    pool: int = 50
    fusion: str = "weighted"
    dense_weight: float = 0.6
    sparse_weight: float = 0.0
    colbert_weight: float = 0.0
    lexical_weight: float = 0.4
    least_in_range: int = 50


@dataclass(frozen=True)
class RerankerSettings:
    """Which cross-encoder puts the best passages first; no folder means none."""

    model: str = ""
    engine: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    pool: int = 20


@dataclass(frozen=True)
class LanguageSettings:
    """Which language model answers, unless `answer.model` is `extractive`; `model` is a file or folder, or a name at `url`."""

    engine: str = "auto"
    model: str = ""
    url: str = ""
    api_key: str = ""
    device: str = "auto"
    bits: int = 16
    context_tokens: int = 8192
    threads: int = 0
    parallel: int = 2
    max_tokens: int = 2048
    temperature: float = 0.0
    top_p: float = 1.0
    timeout_s: float = 120.0
    retries: int = 2
    history_tokens: int = 1024


@dataclass(frozen=True)
class AnswerSettings:
    """How a question is answered."""

    model: str = "auto"
    sentences: int = 3
    min_support: float = 0.5
    max_question_chars: int = 2000
    analysis: str = "auto"
    use_period: bool = True


@dataclass(frozen=True)
class Settings:
    """All settings, with the folder relative paths start from."""

    home: Path
    server: ServerSettings = field(default_factory=ServerSettings)
    data: DataSettings = field(default_factory=DataSettings)
    analyzer: AnalyzerSettings = field(default_factory=AnalyzerSettings)
    chunks: ChunkSettings = field(default_factory=ChunkSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    embedding: EmbeddingSettings = field(default_factory=EmbeddingSettings)
    vectors: VectorSettings = field(default_factory=VectorSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    reranker: RerankerSettings = field(default_factory=RerankerSettings)
    language: LanguageSettings = field(default_factory=LanguageSettings)
    answer: AnswerSettings = field(default_factory=AnswerSettings)

    @property
    def data_folder(self) -> Path:
        """Return the data folder."""
        return self.path(self.data.folder)

    def path(self, named: str) -> Path:
        """Return a file or folder that the configuration names; a relative one lies in the home."""
        return self.home / Path(named).expanduser()

    @property
    def model_writes(self) -> bool:
        """Say whether a language model writes the answers: asked for, or there and nothing else asked for."""
        there = bool(self.language.model or self.language.url)
        return self.answer.model == "language" or (self.answer.model == "auto" and there)


SECTIONS: dict[str, type] = {
    "server": ServerSettings,
    "data": DataSettings,
    "analyzer": AnalyzerSettings,
    "chunks": ChunkSettings,
    "ingest": IngestSettings,
    "embedding": EmbeddingSettings,
    "vectors": VectorSettings,
    "search": SearchSettings,
    "reranker": RerankerSettings,
    "language": LanguageSettings,
    "answer": AnswerSettings,
}

# Least and greatest value of every number.
RANGES: dict[str, tuple[float, float]] = {
    "server.port": (1, 65535),
    "server.max_body_kb": (1, 65536),
    "server.max_concurrent": (1, 1000),
    "server.stop_timeout_s": (0, 60),
    "analyzer.workers": (0, 64),
    "chunks.size": (100, 8000),
    "chunks.least": (0, 4000),
    "chunks.overlap": (0, 2000),
    "ingest.max_file_mb": (1, 1024),
    "ingest.batch_documents": (1, 5000),
    "ingest.workers": (0, 64),
    "embedding.threads": (0, 256),
    "embedding.batch_size": (1, 512),
    "embedding.batch_tokens": (64, 1_000_000),
    "embedding.max_tokens": (8, 8192),
    "embedding.cache_entries": (0, 10_000_000),
    "vectors.exact_limit": (1000, 10_000_000),
    "search.top_n": (1, 50),
    "search.pool": (1, 1000),
    "search.dense_weight": (0.0, 1.0),
    "search.sparse_weight": (0.0, 1.0),
    "search.colbert_weight": (0.0, 1.0),
    "search.lexical_weight": (0.0, 1.0),
    "search.least_in_range": (0, 10_000),
    "reranker.pool": (1, 200),
    "language.bits": (4, 32),
    "language.context_tokens": (256, 1_048_576),
    "language.threads": (0, 256),
    "language.parallel": (1, 64),
    "language.max_tokens": (1, 65_536),
    "language.temperature": (0.0, 2.0),
    "language.top_p": (0.01, 1.0),
    "language.timeout_s": (1.0, 3600.0),
    "language.retries": (0, 10),
    "language.history_tokens": (0, 1_000_000),
    "answer.sentences": (1, 20),
    "answer.min_support": (0.0, 1.0),
    "answer.max_question_chars": (10, 100_000),
}

CHOICES: dict[str, tuple[str, ...]] = {
    "server.language": ("ko", "en"),
    "analyzer.kind": ("kiwi", "okt", "whitespace"),
    "embedding.engine": ("auto", "onnx", "torch"),
    "embedding.precision": ("auto", "fp32", "fp16", "bf16", "int8"),
    "embedding.device": ("auto", "cpu", "cuda", "mps"),
    "vectors.store": ("embedded", "server"),
    "search.fusion": ("weighted", "rrf"),
    "reranker.engine": ("auto", "onnx", "torch"),
    "reranker.precision": ("auto", "fp32", "fp16", "bf16", "int8"),
    "reranker.device": ("auto", "cpu", "cuda", "mps"),
    "language.engine": ("auto", "llama", "openvino", "transformers", "server"),
    "language.device": ("auto", "cpu", "cuda", "mps"),
    "answer.model": ("auto", "extractive", "language"),
    "answer.analysis": ("auto", "model", "rules"),
}
