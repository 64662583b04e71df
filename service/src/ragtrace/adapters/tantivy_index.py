"""BM25 through tantivy over terms that an analyzer has already made."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tantivy

from ragtrace.adapters.tantivy_files import META, IndexFiles
from ragtrace.application.ports import Hit, IndexEntry, IndexMark
from ragtrace.domain.scope import EVERYTHING, Scope, day_number
from ragtrace.errors import IndexDamage, StorageProblem
from ragtrace.limits import INDEX_HEAP_BYTES
from ragtrace.text import Text

LAYOUT = "bm25-v2"
# A term found in title or headings says more about a chunk than one in its text.
HEADING_BOOST = 1.6
_MARK = "mark"
# How the group field names a chunk that everybody sees, and one of a group: no group's name can be taken for the first.
_OPEN = "open"
_GROUP = "group:"
_NO_DAMAGE = ("LockBusy", "Lock", "PermissionDenied", "StorageFull", "ReadOnlyFilesystem", "QuotaExceeded")


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("document", stored=False, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("chunk", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("heading", stored=False, tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("body", stored=False, tokenizer_name="whitespace", index_option="freq")
    # Both are what a scope filters by; a chunk without a day has no value there and is inside no range of days.
    builder.add_unsigned_field("day", stored=False, indexed=True, fast=True)
    builder.add_text_field("group", stored=False, tokenizer_name="raw", index_option="basic")
    # One document carries the mark, so that it is part of the very commit it describes.
    builder.add_text_field("mark", stored=True, tokenizer_name="raw", index_option="basic")
    return builder.build()


class TantivyIndex:
    """An index folder. Any number of processes read it; one at a time writes, under the write lock."""

    def __init__(self, folder: Path) -> None:
        """Open or create the index. Raises `IndexDamage`; then `set_aside`, under the write lock, makes room for a new one."""
        self._folder = folder / LAYOUT
        self._lock = threading.Lock()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not (self._folder / META).exists() and IndexFiles(self._folder).exists:
                raise damaged(self._folder, f"{META}: missing")
            with translated(self._folder):
                self._index = tantivy.Index(_schema(), path=str(self._folder), reuse=True)
        except OSError as error:
            raise _unusable(self._folder, error) from error
        self._schema = self._index.schema
        self._seen = self._version()

    def mark(self) -> IndexMark | None:
        """Return the mark of the last commit."""
        with translated(self._folder):
            return read_mark(self._searcher())

    def update(self, removed: Iterable[str], added: Iterable[IndexEntry], mark: IndexMark) -> None:
        """Remove, add and mark in one commit; a failure leaves the last commit as it was."""
        with translated(self._folder):
            writer = self._index.writer(heap_size=INDEX_HEAP_BYTES, num_threads=1)
            try:
                for document_id in removed:
                    writer.delete_documents_by_term("document", document_id)
                for entry in added:
                    writer.add_document(_document(entry))
                writer.delete_documents_by_term("mark", _MARK)
                writer.add_document(tantivy.Document(mark=_MARK, chunk=json.dumps(mark.__dict__)))
                writer.commit()
            finally:
                writer.wait_merging_threads()
        self._reload()

    def clear(self) -> None:
        """Remove everything in one commit."""
        with translated(self._folder):
            writer = self._index.writer(heap_size=INDEX_HEAP_BYTES, num_threads=1)
            writer.delete_all_documents()
            writer.commit()
            writer.wait_merging_threads()
        self._reload()

    def size(self) -> int:
        """Return the number of chunks; the marking document is not one."""
        return max(0, self._searcher().num_docs - 1)

    def chunk_ids(self) -> Iterator[str]:
        """Yield the id of every chunk of the last commit."""
        searcher = self._searcher()
        with translated(self._folder):
            hits = searcher.search(tantivy.Query.all_query(), max(1, searcher.num_docs), count=False).hits
            for _, address in hits:
                key = str(searcher.doc(address).get_first("chunk"))
                # The document that carries the mark holds JSON there.
                if not key.startswith("{"):
                    yield key

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """Return in how many chunks each term stands, in text or headings."""
        searcher = self._searcher()
        with translated(self._folder):
            return {
                term: max(searcher.doc_freq("body", term), searcher.doc_freq("heading", term))
                for term in terms
            }

    def search(self, terms: Mapping[str, float], limit: int, scope: Scope = EVERYTHING) -> list[Hit]:
        """Return the best chunks inside `scope`; the query is built from terms, never parsed from what a user typed.

        What a scope leaves out is left out by the engine, so `limit` chunks come back wherever there are as many. Term
        statistics are those of the whole index: a score means the same inside every scope.
        """
        parts: list[tuple[tantivy.Occur, tantivy.Query]] = []
        for term, weight in terms.items():
            for name, boost in (("body", weight), ("heading", weight * HEADING_BOOST)):
                query = tantivy.Query.term_query(self._schema, name, term, "freq")
                parts.append((tantivy.Occur.Should, tantivy.Query.boost_query(query, boost)))
        if not parts or limit < 1:
            return []
        with translated(self._folder):
            searcher = self._searcher()
            query = tantivy.Query.boolean_query(parts)
            filters = self._filters(scope)
            if filters:
                query = tantivy.Query.boolean_query([(tantivy.Occur.Must, query), *filters])
            result = searcher.search(query, limit, count=False)
            found = [
                Hit(str(searcher.doc(address)["chunk"][0]), float(score)) for score, address in result.hits
            ]
        return sorted(found, key=lambda hit: (-hit.score, hit.chunk_id))

    def count(self, scope: Scope) -> int:
        """Return the number of chunks inside `scope`."""
        with translated(self._folder):
            filters = self._filters(scope)
            if not filters:
                return self.size()
            # The stubs of tantivy forget that a result counts.
            result: Any = self._searcher().search(tantivy.Query.boolean_query(filters), 1, count=True)
        return int(result.count)

    def _filters(self, scope: Scope) -> list[tuple[tantivy.Occur, tantivy.Query]]:
        """Return what every chunk has to match, adding nothing to its score; the marking document matches none of it."""
        filters: list[tantivy.Query] = []
        if scope.dated:
            first = day_number(scope.since) if scope.since else None
            last = day_number(scope.until) if scope.until else None
            filters.append(
                tantivy.Query.range_query(self._schema, "day", tantivy.FieldType.Unsigned, first, last)
            )
        if scope.groups is not None:
            names = [_OPEN, *(f"{_GROUP}{name}" for name in sorted(scope.groups) if name)]
            # A union of terms: tantivy's own set of terms makes a bit set anew for each search.
            either = [
                (tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "group", name, "basic"))
                for name in names
            ]
            filters.append(tantivy.Query.boolean_query(either))
        return [(tantivy.Occur.Must, tantivy.Query.const_score_query(each, 0.0)) for each in filters]

    def _searcher(self) -> tantivy.Searcher:
        """Return a searcher over the last commit, also when another process made it."""
        with self._lock:
            version = self._version()
            with translated(self._folder):
                if version != self._seen:
                    self._index.reload()
                    self._seen = version
                return self._index.searcher()

    def _reload(self) -> None:
        with self._lock, translated(self._folder):
            self._seen = self._version()
            self._index.reload()

    def _version(self) -> tuple[int, int, int]:
        try:
            status = os.stat(self._folder / "meta.json")
        except FileNotFoundError:
            return (0, 0, 0)
        return (status.st_ino, status.st_mtime_ns, status.st_size)


def _document(entry: IndexEntry) -> tantivy.Document:
    document = tantivy.Document(
        document=entry.document_id,
        chunk=entry.chunk_id,
        heading=" ".join(entry.heading),
        body=" ".join(entry.body),
        group=f"{_GROUP}{entry.group}" if entry.group else _OPEN,
    )
    if entry.date:
        try:
            document.add_unsigned("day", day_number(entry.date))
        except ValueError as error:
            raise StorageProblem(
                Text("문서의 날짜가 날짜가 아닙니다.", "The date of a document is no day."),
                where=f"{entry.document_id}: {entry.date!r}",
                state=Text("색인은 그대로입니다.", "The index is as it was."),
            ) from error
    return document


def read_mark(searcher: tantivy.Searcher) -> IndexMark | None:
    """Return the mark of the commit that `searcher` looks at."""
    hits = searcher.search(tantivy.Query.term_query(_schema(), "mark", _MARK, "basic"), 1).hits
    if not hits:
        return None
    values = searcher.doc(hits[0][1]).get_all("chunk")
    try:
        stored = json.loads(values[0])
        return IndexMark(
            int(stored["sequence"]),
            str(stored["analyzer"]),
            str(stored["records"]),
            str(stored.get("through", "")),
            int(stored.get("toward", -1)),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def set_aside(folder: Path) -> Path | None:
    """Move an index away, so that a new one is made; the write lock is held. One earlier copy is kept, no more."""
    current = folder / LAYOUT
    aside = folder / f"{LAYOUT}.broken"
    try:
        if not current.exists():
            return None
        for old in folder.glob(f"{LAYOUT}.broken*"):
            shutil.rmtree(old)
        os.replace(current, aside)
    except OSError as error:
        raise _unusable(current, error) from error
    return aside


def damaged(folder: Path, what: str) -> IndexDamage:
    """Return the error of an index whose files are not as they were written."""
    return IndexDamage(
        Text("검색 색인이 손상되었습니다.", "The search index is damaged."),
        where=f"{folder}: {what}",
        state=Text("문서 기록은 그대로입니다.", "The records of the documents are untouched."),
        hint=Text(
            "서비스를 다시 시작하면 기록에서 다시 만듭니다. 또는 멈춘 뒤: ragtrace index rebuild",
            "A restart of the service makes it anew from the records. Or stop it, then: ragtrace index rebuild",
        ),
    )


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn what tantivy raises into our errors, its panics (which are no `Exception`) included."""
    try:
        yield
    except ValueError as error:
        # tantivy has one error for everything; what a full disk or a missing right causes is no damage.
        if any(sign in str(error) for sign in _NO_DAMAGE):
            raise _unusable(folder, error) from error
        raise damaged(folder, str(error)) from error
    except OSError as error:
        raise _unusable(folder, error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise damaged(folder, f"panic: {error}") from error


def _unusable(folder: Path, error: Exception) -> StorageProblem:
    return StorageProblem(
        Text("검색 색인을 쓸 수 없습니다.", "The search index cannot be used."),
        where=f"{folder}: {error}",
        state=Text("문서 기록은 그대로입니다.", "The records of the documents are untouched."),
        hint=Text(
            "권한과 디스크 공간을 확인하십시오. 색인 폴더는 지워도 다시 만들어집니다.",
            "Check permissions and disk space. The index folder may be deleted; it is made anew.",
        ),
    )
