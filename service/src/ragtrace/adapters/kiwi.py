"""Korean morphemes through Kiwi (kiwipiepy), in process, without any network."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from ragtrace.adapters.user_dictionary import UserDictionary
from ragtrace.errors import StartProblem
from ragtrace.text import Text

if TYPE_CHECKING:
    from kiwipiepy import Kiwi, Token

RULES_VERSION = 1
_NOMINAL = "ETN"
# Nouns, roots, verbs, adjectives, adverbs, foreign words, numbers, Chinese characters; W_* are addresses and serials.
_KEPT = frozenset({"NNG", "NNP", "NR", "XR", "VV", "VA", "MAG", "SL", "SN", "SH", "MM"})
_KEPT_WEB = ("W_URL", "W_EMAIL", "W_HASHTAG", "W_MENTION", "W_SERIAL")
# Verbs and adverbs so common that they only cost time.
_COMMON = frozenset(
    {"하", "되", "있", "없", "이", "같", "위하", "대하", "따르", "통하", "그", "이런", "그런", "또", "및"}
)
# Words that ask and do not say what about.
_ASKING = frozenset(
    {
        "무엇", "뭐", "어디", "언제", "누구", "왜", "어떻", "어떠하", "어떤", "어느", "무슨", "몇", "얼마", "며칠", "어떻게",
        "알리", "알려주", "알", "가르치", "설명", "말하", "궁금", "묻", "찾", "보이", "싶", "좀", "주", "대답", "질문",
    }
)  # fmt: skip


class KiwiAnalyzer:
    """Content morphemes in dictionary form, lower-cased, compatibility-normalised."""

    def __init__(self, workers: int, multiword: bool, dictionary: UserDictionary | None = None) -> None:
        self._workers = workers
        self._multiword = multiword
        self._dictionary = dictionary or UserDictionary(())
        self._kiwi: Kiwi | None = None
        self._lock = threading.Lock()
        try:
            version, model = metadata.version("kiwipiepy"), metadata.version("kiwipiepy-model")
        except metadata.PackageNotFoundError as error:
            raise _unusable(error) from error
        own = f"-u{self._dictionary.digest}" if self._dictionary.words else ""
        self.fingerprint = f"kiwi-{version}-{model}-m{int(multiword)}-r{RULES_VERSION}{own}"

    def load(self) -> None:
        """Load the model and use it once: Kiwi builds half of its tables at the first sentence."""
        self._ready()

    def analyze(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the content morphemes of each text; several texts are spread over the workers."""
        if not texts:
            return []
        tokens = self._ready().tokenize([unicodedata.normalize("NFKC", text) for text in texts])
        return [tuple(_terms(each)) for each in tokens]

    def question_terms(self, text: str) -> tuple[str, ...]:
        """Return the content morphemes of a question without question words."""
        tokens = self._ready().tokenize(unicodedata.normalize("NFKC", text))
        return tuple(_terms(tokens, _asking(tokens)))

    def _ready(self) -> Kiwi:
        with self._lock:
            if self._kiwi is None:
                try:
                    from kiwipiepy import Kiwi

                    kiwi = Kiwi(num_workers=self._workers, load_multi_dict=self._multiword)
                    for each in self._dictionary.words:
                        kiwi.add_user_word(each.word, each.tag, each.score)
                    kiwi.tokenize("준비")
                except (ImportError, OSError, RuntimeError, ValueError) as error:
                    raise _unusable(error) from error
                self._kiwi = kiwi
            return self._kiwi


def _terms(tokens: Sequence[Token], left_out: frozenset[int] = frozenset()) -> Iterator[str]:
    for place, token in enumerate(tokens):
        # Irregular verbs carry a suffix in their tag: "VA-I".
        tag = token.tag.partition("-")[0]
        if place not in left_out and (tag in _KEPT or tag in _KEPT_WEB) and token.form not in _COMMON:
            yield "".join(token.form.lower().split())


def _asking(tokens: Sequence[Token]) -> frozenset[int]:
    """Return the places of the words that only ask; 찾기, a verb made a noun, is what is asked about."""
    following = [token.tag for token in tokens[1:]] + [""]
    return frozenset(
        place
        for place, (token, after) in enumerate(zip(tokens, following, strict=True))
        if token.form in _ASKING and after != _NOMINAL
    )


def _unusable(error: Exception) -> StartProblem:
    return StartProblem(
        Text("Kiwi 형태소 분석기를 불러오지 못했습니다.", "The Kiwi morpheme analyzer could not be loaded."),
        where=str(error),
        hint=Text(
            "설치를 점검하십시오: enterprise_validator.py --category Packages",
            "Check the installation: enterprise_validator.py --category Packages",
        ),
    )
