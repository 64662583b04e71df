"""A company's own words: read from a file, kept whole by the analyzer, and part of what an index is made with."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragtrace.adapters.kiwi import KiwiAnalyzer
from ragtrace.adapters.user_dictionary import UserDictionary, UserWord, read_dictionary
from ragtrace.errors import ConfigProblem
from tests.service.support import write
from tests.service.test_cli import result, run

LINES = """\ufeff# 우리 회사의 낱말
출장비정산서

한빛 포털\tNNP
빅데이터플랫폼\tNNG\t2.5
"""


def dictionary(folder: Path, text: str | bytes = LINES) -> Path:
    return write(folder, {"words.txt": text}) / "words.txt"


def test_words_are_read_with_tag_and_score(tmp_path: Path) -> None:
    assert read_dictionary(dictionary(tmp_path)).words == (
        UserWord("출장비정산서"), UserWord("한빛 포털"), UserWord("빅데이터플랫폼", "NNG", 2.5),
    )  # fmt: skip


def test_a_word_named_twice_counts_as_it_is_named_last(tmp_path: Path) -> None:
    assert read_dictionary(dictionary(tmp_path, "가나\t\t1\n가나\tNNP\t3\n")).words == (
        UserWord("가나", "NNP", 3.0),
    )


def test_words_are_normalised_as_texts_are(tmp_path: Path) -> None:
    assert read_dictionary(dictionary(tmp_path, "ＡＢＣ  포털\n")).words == (UserWord("ABC 포털"),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("가\tXX", "NNP"), ("가\tVV", "NNP"), ("가\tNNP\t많이", "-100"), ("가\tNNP\tnan", "-100"), ("가\tNNP\t1e9", "-100"),
        ("가\tNNP\t1\t2", "columns"), ("가" * 101, "word"), ("\t", "word"), ("가\0나", "word"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        read_dictionary(dictionary(tmp_path, f"# 머리\n나다\n{line}\n") if line.strip() else _odd(tmp_path))
    assert ":3" in caught.value.where and said in caught.value.summary.en


def _odd(folder: Path) -> Path:
    return dictionary(folder, "# 머리\n나다\n\tNNP\n")


@pytest.mark.parametrize("data", [b"\xff\xfe", "가나".encode("cp949")])
def test_a_file_that_is_no_text_is_an_error_in_words(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ConfigProblem, match="UTF-8"):
        read_dictionary(dictionary(tmp_path, data))
    with pytest.raises(ConfigProblem, match="cannot be read"):
        read_dictionary(tmp_path / "none.txt")


def test_the_digest_is_that_of_the_words_alone(tmp_path: Path) -> None:
    one = read_dictionary(dictionary(tmp_path, "# a\n가나\n\n다라\n")).digest
    assert one == read_dictionary(dictionary(tmp_path, "가나\tNNP\t0\n다라\n# 끝\n")).digest
    others = ["가나\n", "다라\n가나\n", "가나\tNNG\n다라\n", "가나\tNNP\t1\n다라\n"]
    assert len({one, *(read_dictionary(dictionary(tmp_path, text)).digest for text in others)}) == 5


def test_the_analyzer_keeps_the_words_whole_and_says_so_in_its_fingerprint(tmp_path: Path) -> None:
    own = read_dictionary(dictionary(tmp_path))
    plain, taught = KiwiAnalyzer(1, False), KiwiAnalyzer(1, False, own)
    text = "출장비정산서를 한빛 포털에 올린다."
    assert "출장비정산서" not in plain.analyze([text])[0]
    assert {"출장비정산서", "한빛포털"} <= set(taught.analyze([text])[0])
    assert taught.question_terms("출장비정산서는 어디에 올리나요?")[0] == "출장비정산서"
    assert plain.fingerprint == KiwiAnalyzer(1, False, UserDictionary(())).fingerprint
    assert taught.fingerprint == f"{plain.fingerprint}-u{own.digest}"


def test_a_changed_dictionary_makes_the_index_anew_and_a_wrong_one_is_an_error(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    docs = write(
        tmp_path / "docs", {"a.txt": "안내\n출장비정산서를 올린다.", "b.txt": "안내\n출장비를 정산한다."}
    )
    assert run(home, "ingest", str(docs)).returncode == 0
    words = str(dictionary(home / "config"))
    before = result(run(home, "search", "출장비정산서", "--json", "--explain"))
    after = result(
        run(home, "search", "출장비정산서", "--json", "--explain", RAGTRACE_ANALYZER_USER_DICTIONARY=words)
    )
    assert [each["path"] for each in after["passages"]] == ["a.txt"] and len(before["passages"]) == 2
    assert after["explain"]["terms"] == ["출장비정산서"]
    relative = run(home, "search", "출장비정산서", RAGTRACE_ANALYZER_USER_DICTIONARY="config/words.txt")
    assert relative.returncode == 0
    wrong = run(home, "search", "출장비정산서", RAGTRACE_ANALYZER_USER_DICTIONARY="none.txt")
    assert wrong.returncode == 2 and "RT-101" in wrong.stderr
