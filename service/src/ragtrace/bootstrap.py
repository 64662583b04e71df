"""Build the adapters that the configuration names. The only module that knows both ports and adapters."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ragtrace import __version__
from ragtrace.application.analysis import Analyst, Mode
from ragtrace.application.ask import Ask
from ragtrace.application.ports import Answerer, Clock, Generation, LanguageModel, LexicalAnalyzer, Reranker
from ragtrace.application.ports.embedding import EmbeddingCache, EmbeddingModel
from ragtrace.application.reconcile import bring_in_step, in_step
from ragtrace.application.retrieve import Retrieve
from ragtrace.application.rooms import Rooms
from ragtrace.domain.chunks import ChunkRules
from ragtrace.errors import BusyProblem, ConfigProblem, IndexDamage, StorageProblem
from ragtrace.parts import forget, part
from ragtrace.search_rules import require_legs, search_rules
from ragtrace.settings import Settings
from ragtrace.text import Text

if TYPE_CHECKING:
    from ragtrace.adapters.data_folder import DataFolder
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
    building: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    @part
    def clock(self) -> Clock:
        """Return the clock."""
        from ragtrace.adapters.clock import SystemClock

        return SystemClock()

    @part
    def data(self) -> DataFolder:
        """Return the data folder."""
        from ragtrace.adapters.data_folder import DataFolder

        return DataFolder(self.settings.data_folder)

    @part
    def analyzer(self) -> LexicalAnalyzer:
        """Return the analyzer; its model is loaded by `load` or by the first use."""
        from ragtrace.adapters.analyzers import build

        return build(self.settings)

    @part
    def records(self) -> SqliteRecords:
        """Open the records. Raises `StorageProblem`, also where an index says that there must have been some."""
        from ragtrace.adapters.sqlite_records import SqliteRecords

        folder = self.data.usable()
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

    @part
    def index(self) -> TantivyIndex:
        """Open the index."""
        from ragtrace.adapters.tantivy_index import TantivyIndex

        return TantivyIndex(self.data.usable() / "index")

    @part
    def inspection(self) -> DataInspection:
        """Return what looks at the data folder from outside."""
        from ragtrace.adapters.data_inspection import DataInspection
        from ragtrace.adapters.tantivy_index import LAYOUT

        return DataInspection(self.settings.data_folder, LAYOUT)

    @part
    def language(self) -> LanguageModel | None:
        """Return the language model; None where none is configured. It is loaded by `load`, or by the first use."""
        if not (self.settings.language.model or self.settings.language.url):
            return None
        from ragtrace.adapters.language.choose import build_language

        return build_language(self.settings)

    @part
    def model(self) -> Answerer:
        """Return what answers: sentences of the documents word for word, or a language model."""
        answer, language = self.settings.answer, self.settings.language
        if self.settings.model_writes:
            from ragtrace.application.grounded import Grounded

            defaults = Generation(language.max_tokens, language.temperature, language.top_p)
            return Grounded(
                self._language(), self.analyzer, defaults, language.history_tokens, answer.min_support
            )
        from ragtrace.adapters.extractive import ExtractiveModel

        return ExtractiveModel(self.analyzer, answer.sentences, answer.min_support)

    @part
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

    @part
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

        model = build(self.settings.path(chosen.model), chosen)
        require_legs(self.settings, model.outputs)
        return CachedEmbedding(model, self.embedding_cache)

    @part
    def embedding_cache(self) -> EmbeddingCache:
        """Return what remembers embeddings, in a file of its own: it may be lost at any time."""
        from ragtrace.adapters.embedding_cache import SqliteEmbeddingCache

        folder = self.data.usable() / "cache"
        folder.mkdir(exist_ok=True, mode=0o750)
        return SqliteEmbeddingCache(folder / "embeddings.sqlite3", self.settings.embedding.cache_entries)

    @part
    def vectors(self) -> OwnedVectors | None:
        """Return the vector index; None where no embedding model is configured. Its owner has to `acquire` it."""
        model = self.embedding
        if model is None:
            return None
        from ragtrace.adapters.vectors.choose import build

        folder = self.data.usable() / "vectors"
        return build(folder, self.settings.vectors, model, self.records.state().records)

    def vector_fingerprint(self) -> str | None:
        """Return what vectors of the configured model are named; None where none are kept in the data folder."""
        model = self.embedding
        if model is None:
            return None
        from ragtrace.adapters.vectors.choose import fingerprint_of

        return fingerprint_of(self.settings.vectors, model)

    @part
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
        from ragtrace.adapters.vectors.embedded import EmbeddedVectors, drop

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

    @part
    def reranker(self) -> Reranker | None:
        """Return the reranker; None where no model is configured. Its weights are loaded by `load` or the first use."""
        chosen = self.settings.reranker
        if not chosen.model:
            return None
        from ragtrace.adapters.reranking.choose import build

        return build(self.settings.path(chosen.model), chosen, self.settings.embedding.threads)

    @part
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

    @part
    def analyst(self) -> Analyst:
        """Return what understands questions; with a language model only where one answers."""
        answer = self.settings.answer
        model = self._language() if self.settings.model_writes else None
        return Analyst(self.analyzer, self.clock, model, cast(Mode, answer.analysis))

    @part
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

    @part
    def ingest(self) -> Ingest:
        """Return the use case that takes documents in."""
        from ragtrace.adapters.parse_pool import ParsePool
        from ragtrace.adapters.processors import workers_for
        from ragtrace.application.ingest import Ingest

        chunks = self.settings.chunks
        return Ingest(
            records=self.records,
            index=self.index,
            analyzer=self.analyzer,
            reader=ParsePool(workers_for(self.settings.ingest.workers)),
            rules=ChunkRules(chunks.size, chunks.least, chunks.overlap),
            clock=self.clock,
            batch=self.settings.ingest.batch_documents,
        )

    @part
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
        """Give back what threads, graphs and files of the models hold; answers under way end with an error."""
        for model in forget(self, "language", "reranker", "embedding"):
            if model is not None:
                model.close()

    def backup(self, path: Path) -> dict[str, Any]:
        """Write all data to a new file, also while a service runs; return its facts."""
        documents, chunks = self.records.counts()
        made_at = self.clock.now().isoformat(timespec="seconds")
        facts = {"product": __version__, "made_at": made_at, "documents": documents, "chunks": chunks}
        return self.data.backup(path, facts)

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
            with self.data.lock():
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
        set_aside(self.data.usable() / "index")
        forget(self, "index", "retrieve", "ask", "ingest", "removal")
