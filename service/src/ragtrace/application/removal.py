"""Use case: find kept documents by what a person knows of them, and remove them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ragtrace.application.ports import LexicalAnalyzer, LexicalIndex, Records
from ragtrace.application.reconcile import BATCH, bring_in_step, commit_change
from ragtrace.domain.documents import Document
from ragtrace.errors import InvalidRequest
from ragtrace.text import Text

# Fewer digits of an id are more likely a slip than a document.
_ID = re.compile(r"[0-9a-f]{8,32}")


@dataclass(frozen=True)
class Choice:
    """Which documents: `targets` are ids or their beginnings (from 8 digits), paths, or folders ending in "/"; none
    means all. `source` and `group` narrow it down.
    """

    targets: tuple[str, ...] = ()
    source: str | None = None
    group: str | None = None

    def among(self, documents: Sequence[Document]) -> list[Document]:
        """Return the chosen documents.

        Raises:
            InvalidRequest: a target names no document, or several by one beginning of an id.
        """
        inside = [
            each
            for each in documents
            if self.source in (None, each.source) and self.group in (None, each.group)
        ]
        if not self.targets:
            return inside
        chosen: dict[str, Document] = {}
        for target in self.targets:
            chosen |= {each.id: each for each in _named(target, inside)}
        return list(chosen.values())


@dataclass(frozen=True)
class Remove:
    """Removes documents from records and index. Call `run` with the write lock held."""

    records: Records
    index: LexicalIndex
    analyzer: LexicalAnalyzer

    def run(self, documents: Sequence[Document], progress: Callable[[int, int], None] | None = None) -> None:
        """Remove them in batches; killed in between, those of the finished batches are gone."""
        bring_in_step(self.records, self.index, self.analyzer)
        for start in range(0, len(documents), BATCH):
            ids = [each.id for each in documents[start : start + BATCH]]
            commit_change(self.records, self.index, self.analyzer, [], ids)
            if progress is not None:
                progress(start + len(ids), len(documents))


def _named(target: str, documents: Sequence[Document]) -> list[Document]:
    if target.endswith("/"):
        found = [each for each in documents if each.path.startswith(target)]
    else:
        found = [each for each in documents if each.path == target]
        if not found and _ID.fullmatch(target):
            found = [each for each in documents if each.id.startswith(target)]
            if len(found) > 1:
                raise InvalidRequest(
                    Text(
                        f"'{target}'(으)로 시작하는 문서가 {len(found)}개입니다.",
                        f"{len(found)} documents begin with '{target}'.",
                    ),
                    details=[Text(line, line) for line in (f"{each.id}  {each.path}" for each in found[:10])],
                )
    if not found:
        raise InvalidRequest(
            Text(f"그런 문서가 없습니다: {target}", f"There is no such document: {target}"),
            state=Text("아무것도 지우지 않았습니다.", "Nothing was removed."),
            hint=Text("목록: ragtrace documents list", "To list them: ragtrace documents list"),
        )
    return found
