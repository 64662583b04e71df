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


@dataclass(frozen=True)
class SearchSettings:
    """What is retrieved for a question."""

    top_n: int = 5


@dataclass(frozen=True)
class AnswerSettings:
    """How a question is answered."""

    model: str = "extractive"
    sentences: int = 3
    min_support: float = 0.5
    max_question_chars: int = 2000


@dataclass(frozen=True)
class Settings:
    """All settings, with the folder relative paths start from."""

    home: Path
    server: ServerSettings = field(default_factory=ServerSettings)
    data: DataSettings = field(default_factory=DataSettings)
    analyzer: AnalyzerSettings = field(default_factory=AnalyzerSettings)
    chunks: ChunkSettings = field(default_factory=ChunkSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    answer: AnswerSettings = field(default_factory=AnswerSettings)

    @property
    def data_folder(self) -> Path:
        """Return the data folder; a relative one lies in the home."""
        return self.home / Path(self.data.folder).expanduser()


SECTIONS: dict[str, type] = {
    "server": ServerSettings,
    "data": DataSettings,
    "analyzer": AnalyzerSettings,
    "chunks": ChunkSettings,
    "ingest": IngestSettings,
    "search": SearchSettings,
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
    "search.top_n": (1, 50),
    "answer.sentences": (1, 20),
    "answer.min_support": (0.0, 1.0),
    "answer.max_question_chars": (10, 100_000),
}

CHOICES: dict[str, tuple[str, ...]] = {
    "server.language": ("ko", "en"),
    "analyzer.kind": ("kiwi", "whitespace"),
    "answer.model": ("extractive",),
}
