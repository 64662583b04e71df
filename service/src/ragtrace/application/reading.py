"""Read files one after another in this process: the reader for a few harmless files, and the twin of the pool."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from ragtrace.application.ports import DocumentParser, FileContent, ReadFile
from ragtrace.domain.documents import ParsedDocument
from ragtrace.errors import ParseProblem
from ragtrace.text import Text


@dataclass(frozen=True)
class ReadInTurn:
    """Every file by the parser that `recognise` names by an ending: by default that of the file's name.

    `recognise` takes content and path, and raises `ParseProblem` where they do not belong together.
    """

    parsers: tuple[DocumentParser, ...]
    recognise: Callable[[bytes, str], str] = lambda _data, path: suffix_of(path)

    @property
    def suffixes(self) -> frozenset[str]:
        """Return the endings of all parsers."""
        return frozenset().union(*(parser.suffixes for parser in self.parsers))

    def read_all(self, files: Iterator[FileContent]) -> Iterator[ReadFile]:
        """Yield what came of every file."""
        for file in files:
            yield self.read(file)

    def read(self, file: FileContent) -> ReadFile:
        """Parse one file; whatever its parser raises becomes the outcome."""
        begun = time.perf_counter()
        outcome: ParsedDocument | ParseProblem
        try:
            suffix = self.recognise(file.data, file.path)
            parser = next(parser for parser in self.parsers if suffix in parser.suffixes)
            outcome = printable(parser.parse(file.data, file.path))
        except ParseProblem as problem:
            outcome = problem
        except StopIteration:
            outcome = ParseProblem(Text("지원하지 않는 형식입니다.", "This format is not supported."))
        except MemoryError:
            outcome = out_of_memory()
        # A library that meets a file of a kind its author did not think of raises anything at all.
        except Exception as error:  # noqa: BLE001
            name = f"{type(error).__name__}: {error}"[:300]
            outcome = ParseProblem(
                Text(
                    f"파일을 해석하지 못했습니다({name}).", f"The file could not be made sense of ({name})."
                ),
                hint=Text(
                    "원래 프로그램에서 다시 저장해 보십시오.",
                    "Save it again with the program it was made with.",
                ),
            )
        return ReadFile(file.path, outcome, time.perf_counter() - begun)


def out_of_memory() -> ParseProblem:
    """Say that a file takes more memory than reading one may."""
    return ParseProblem(
        Text(
            "읽는 데 허용된 것보다 많은 메모리가 필요합니다.", "Reading it takes more memory than is allowed."
        ),
        hint=Text("파일을 나누어 주십시오.", "Split the file."),
    )


def suffix_of(path: str) -> str:
    """Return the ending of a file's name, lower case, with the dot; "" where there is none."""
    name = path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and stem else ""


def wanted(path: str, suffixes: frozenset[str]) -> bool:
    """Say whether a file's name ends in one of `suffixes`."""
    return suffix_of(path) in suffixes


def hidden_behind(path: str, troubled: Collection[str]) -> bool:
    """Say whether a folder above `path`, or the source itself ("."), is among those that cannot be listed."""
    return any(
        folder in troubled for folder in (".", *(path[:at] for at, sign in enumerate(path) if sign == "/"))
    )


def printable(parsed: ParsedDocument) -> ParsedDocument:
    """Replace halves of surrogate pairs, which broken files hold and UTF-8 cannot say."""
    sections = tuple(
        replace(each, path=tuple(_said(part) for part in each.path), text=_said(each.text))
        if not all(_sayable(part) for part in (each.text, *each.path))
        else each
        for each in parsed.sections
    )
    return replace(parsed, title=_said(parsed.title), sections=sections)


def _sayable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _said(text: str) -> str:
    return text if _sayable(text) else text.encode("utf-8", "replace").decode()
