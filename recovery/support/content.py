"""Leave people's content out of what a service says: questions, answers, titles, names of documents.

The service's own lines hold none of it (it logs method, path, status and time of a request). What libraries and
exceptions say may, so of those the words of programmers stay and what looks like words of people goes.
"""

from __future__ import annotations

import re
from typing import Any, Mapping

from validator.secrets.tokens import TOKEN, Tokens

# Loggers whose messages are sentences of a program; of any other one only the fact that it spoke stays.
_SPOKEN = re.compile(r"(?:ragtrace|uvicorn|asyncio|py)(?:\.|\Z)")
_ROUTES = re.compile(
    r"/(?:healthz|readyz|metrics|query|query_stream|queryToSLLM|history|reference|v1/(?:chat/completions|embeddings|models))?\Z"
)
_DOCUMENT = r"(?:pdf|docx?|pptx?|xlsx?|csv|html?|md|txt|hwpx?|hwp|eml|msg|zip|png|jpe?g)"
# From the beginning of a word only, so that a long one is looked at once.
_DOCUMENT_NAME = re.compile(rf"(?<![^\s\"'<>|=,;:()])[^\s\"'<>|=,;:()]+\.{_DOCUMENT}\b", re.IGNORECASE)
_QUOTED = re.compile(
    r"\"([^\"\n]{2,})\"|'([^'\n]{2,})'|[“‘「『]([^“‘「『”’」』\n]{2,})[”’」』]|`([^`\n]{2,})`"
)
_HARMLESS_QUOTE = re.compile(
    r"(?:[a-z0-9_]+\.){0,4}[a-z0-9_]{1,40}\Z|[/.]?(?:[A-Za-z0-9_.+-]{1,60}/)+[A-Za-z0-9_.+-]{1,60}\Z"
)
_FOREIGN = re.compile(r"[^\x00-\x7f](?:[^\n]*[^\x00-\x7f])?")
_NAMED = re.compile(
    r"(?<!\[)\b((?:qry_?)?(?:question|query|prompt|answer|title|contents?|text|snippet|document|file_?name|user_id|page_id|source)s?"
    r"[\"']?\s{0,4}[:=]\s{0,4})(?=\S)([^\n]{3,})", re.IGNORECASE)  # fmt: skip
_RAISED = re.compile(
    r"^(\s*(?:[\w.]{1,100}\.)?\w{0,60}(?:Error|Exception|Warning|Exit|Interrupt|Problem|Group)\w{0,30}: )"
    r"((?:\[(?:Errno|WinError) -?\d+\] [A-Za-z ]{1,80})?)([^\n]*)$",
    re.MULTILINE,
)
_FRAME = re.compile(r'^\s*File "(?P<path>[^"\n]*)", line \d+(?:, in [\w<>.]+)?\s*$')
_OWN_TOKEN_LINE = re.compile(r"\A\s*\Z")


class Quiet:
    """Replaces what may be content by tokens; *data* is the folder below which every name is a person's."""

    def __init__(self, tokens: Tokens, data: str) -> None:
        self._tokens = tokens
        below = re.escape(data.rstrip("/\\"))
        self._own = re.compile(rf"({below}[/\\](?!logs[/\\]|cache[/\\]))([^\s\"'<>|,;:()]+)")

    def token(self, text: str) -> str:
        """Return the token that stands for *text*."""
        return self._tokens.of(text, "content", "text")

    def text(self, text: str) -> str:
        """Return lines of a program without what may be content."""
        return "\n".join(self._line(line) for line in text.split("\n"))

    def _line(self, line: str) -> str:
        if _OWN_TOKEN_LINE.match(line) or (
            _FRAME.match(line) and line.isascii() and not self._own.search(line)
        ):
            return line
        line = _RAISED.sub(self._raised, line)
        line = _NAMED.sub(lambda match: match.group(1) + self._once(match.group(2)), line)
        line = _QUOTED.sub(self._quoted, line)
        line = self._own.sub(lambda match: match.group(1) + self.token(match.group(2)), line)
        line = _DOCUMENT_NAME.sub(lambda match: self._once(match.group()), line)
        return _FOREIGN.sub(lambda match: self._once(match.group()), line)

    def _once(self, text: str) -> str:
        return text if TOKEN.fullmatch(text.strip()) else self.token(text)

    def _raised(self, match: "re.Match[str]") -> str:
        rest = match.group(3)
        return match.group(1) + match.group(2) + (self._once(rest) if rest.strip() else rest)

    def _quoted(self, match: "re.Match[str]") -> str:
        inner = next(group for group in match.groups() if group is not None)
        if _HARMLESS_QUOTE.match(inner) and not _DOCUMENT_NAME.search(inner):
            return match.group()
        return match.group()[0] + self._once(inner) + match.group()[-1]

    def message(self, text: str, record: Mapping[str, Any]) -> str:
        """Return the message of a log record; of a logger that nobody here knows, a token."""
        logger = record.get("logger")
        known = isinstance(logger, str) and _SPOKEN.match(logger)
        return self.text(text) if known else self.token(text)

    def path(self, text: str) -> str:
        """Return the path of a request: a route of the service as it is, the name of a document as a token."""
        if _ROUTES.match(text):
            return text
        first = re.match(r"/[a-z0-9_]{1,20}(?=/|\Z)", text)
        head = first.group() if first else ""
        return head + ("/" + self.token(text) if len(text) > len(head) else "")
