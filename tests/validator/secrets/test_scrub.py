"""Secrets are replaced, wherever and however they stand; our own records are left as they are."""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validator.secrets import Scrubber, Tokens, scrub

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\nAAAABG5vbmU\n-----END OPENSSH PRIVATE KEY-----"
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9"
TOKEN = re.compile(r"\[secret:[0-9a-f]{8}\]")
SECRETS = {
    "password": ("password=hunter2", "hunter2"),
    "quoted": ('{"db_password": "two words", "n": 1}', "two words"),
    "nested": ('{"m": "{\\"password\\": \\"two words\\"}"}', "two words"),
    "yaml": ("  api_key: abcdefgh", "abcdefgh"),
    "korean": ("비밀번호: 가나다라", "가나다라"),
    "header": ("Authorization: Bearer abcdefgh1", "abcdefgh1"),
    "basic": ("sent basic dXNlcjpwYXNz again", "dXNlcjpwYXNz"),
    "url": ("postgresql://user:pa5sword@host/db", "pa5sword"),
    "url without user": ("redis://:pa5sword@host", "pa5sword"),
    "url token": ("https://0123456789abcdefXYZ@host/x", "0123456789abcdefXYZ"),
    "option": ("serve --api-key zyx987abc --port 1", "zyx987abc"),
    "environment": ("PGPASSWORD=zyx", "zyx"),
    "xml": ("<password>zyxwvut</password>", "zyxwvut"),
    "aws": ("id AKIAIOSFODNN7EXAMPLE.", "AKIAIOSFODNN7EXAMPLE"),
    "github": ("ghp_" + "a1B2" * 9, "a1B2a1B2"),
    "huggingface": ("hf_" + "aBcD" * 9, "aBcDaBcD"),
    "openai": ("sk-proj-abcDEF1234567890xyz", "abcDEF1234567890xyz"),
    "clova": ("nv-" + "0a1b" * 8, "0a1b0a1b"),
    "escaped line end": ("x\\nghp_" + "a1B2" * 9, "a1B2a1B2"),
    "jwt": ("cookie " + JWT, "dozjgNryP4J3"),
    "private key": ("x\n" + KEY + "\ny", "b3BlbnNzaC1rZXktdjEA"),
    "private key in one line": (json.dumps(KEY), "b3BlbnNzaC1rZXktdjEA"),
    "key without its end": ("x\n" + KEY[:60], "b3BlbnNzaC1rZXktdjEA"),
    "key without its beginning": (BODY + "\nAbCd=\n-----END PRIVATE KEY-----\ny", "AbCd"),
    "rest of a key": (f"x\n{BODY}\ny", BODY),
    "weak name": ("token: 4f3c2b1a99887766", "4f3c2b1a99887766"),
}
OWN = (
    '{"sha256": "' + "0a" * 32 + '", "manifest": "' + "f9" * 32 + '"}',
    "release 000007-abcdef012345 key 7e57d004-2b97-0e7a-b45f-5387367791cd",
    '"signers": ["SHA256:ki5yLxFDhTRT0Xwp1jAmQVzDwmZqLmrmH3XuhnQJSLs"]',
    "key: SHA256:ki5yLxFDhTRT0Xwp1jAmQVzDwmZqLmrmH3XuhnQJSLs",
    "GET http://127.0.0.1:8400/data/a@b 200",
    "basic authentication failed; bearer of bad news",
    "prompt_tokens: 15312345 max_tokens=2048",
    "task-management-something-rather-long",
    "/opt/ragtrace/generations/000007-abcdef012345/venv/lib/python3.11/site-packages/tokenizers/Models1.py",
    "there is no key 'server.prot'. The nearest is 'server.port'.",
    "RAGTRACE_LLM_TOKEN=********",
)


@pytest.mark.parametrize("name", SECRETS)
def test_what_looks_like_a_secret_is_replaced(name: str) -> None:
    text, secret = SECRETS[name]
    scrubbed = scrub(text, ())
    assert secret not in scrubbed
    assert TOKEN.search(scrubbed)


@pytest.mark.parametrize("text", OWN)
def test_our_own_records_are_left_as_they_are(text: str) -> None:
    assert scrub(text, ()) == text


def test_the_same_secret_has_the_same_token_and_another_one_another() -> None:
    first, second, other = TOKEN.findall(scrub("password=hunter2 x_token=\nPWD=hunter2 password=hunter3", ()))
    assert first == second != other


def test_another_run_has_other_tokens() -> None:
    assert scrub("password=hunter2", (), Tokens()) != scrub("password=hunter2", (), Tokens())


def test_scrubbing_again_changes_nothing() -> None:
    once = scrub("\n".join(text for text, _ in SECRETS.values()), ())
    assert scrub(once, ()) == once


def test_what_stands_around_a_secret_stays() -> None:
    assert re.fullmatch(
        r'\{"password": "\[secret:\w{8}\]", "n": 1\}', scrub('{"password": "a b", "n": 1}', ())
    )


def encoded(value: str) -> list[str]:
    raw = value.encode()
    return [
        value,
        value[::-1],
        raw.hex(),
        raw.hex().upper(),
        urllib.parse.quote(value, safe=""),
        json.dumps(value),
        json.dumps(json.dumps(value)),
        *(base64.b64encode(b"x" * shift + raw + b"y" * shift).decode() for shift in range(3)),
        *(base64.urlsafe_b64encode(b"x" * shift + raw).decode() for shift in range(3)),
    ]


def leaks(value: str, text: str) -> bool:
    """Tell whether *value* can be read from *text*, in clear or decoded."""
    raw = value.encode()
    found = [value, value[::-1], raw.hex(), urllib.parse.quote(value, safe=""), json.dumps(value)[1:-1]]
    if any(form.lower() in text.lower() for form in found):
        return True
    runs = re.findall(r"[A-Za-z0-9+/_-]{4,}", text)
    decoded = (
        base64.b64decode(
            (run[skip:].replace("-", "+").replace("_", "/")) + "=" * (-len(run[skip:]) % 4) + "=="
        )
        for run in runs
        for skip in range(4)
        if len(run[skip:]) % 4 != 1
    )
    return any(raw in each for each in decoded)


values = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=8, max_size=60).map(str.strip).filter(
    lambda value: len(value) >= 8
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(value=values, before=st.text(max_size=20), after=st.text(max_size=20))
def test_known_values_of_any_shape_are_found_in_every_form(value: str, before: str, after: str) -> None:
    for form in encoded(value):
        scrubbed = scrub(f"{before} {form} {after}", (value,))
        assert not leaks(value, scrubbed.replace(before, "").replace(after, "")), form


shapes = st.one_of(
    st.from_regex(r"ghp_[A-Za-z0-9]{36}", fullmatch=True),
    st.from_regex(r"hf_[A-Za-z0-9]{34}", fullmatch=True),
    st.from_regex(r"AKIA[A-Z0-9]{16}", fullmatch=True),
    st.from_regex(r"eyJ[A-Za-z0-9_-]{20,40}\.eyJ[A-Za-z0-9_-]{20,40}\.[A-Za-z0-9_-]{20,40}", fullmatch=True),
    st.from_regex(r"-----BEGIN (RSA |EC |OPENSSH |)PRIVATE KEY-----\n([A-Za-z0-9+/]{64}\n){1,20}-----END", fullmatch=True),
    st.from_regex(r"(password|client_secret|API_KEY)(=|: |\":\")[!-~]{8,40}", fullmatch=True),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    secret=shapes,
    size=st.integers(1, 4000),
    filler=st.sampled_from(["a", " a", "log line\n", '"x": 1, ', "가나 "]),
)
def test_secrets_of_a_known_shape_never_survive(secret: str, size: int, filler: str) -> None:
    scrubbed = scrub(f"{filler * (size // len(filler))}\n{secret}\n{filler}", ())
    assert secret[-20:].strip("\"'\\,;") not in scrubbed or "END" in secret[-20:]
    assert not any(line in scrubbed for line in secret.splitlines()[1:-1])


@settings(max_examples=25, deadline=None)
@given(data=st.data(), place=st.integers(0, 700_000), cut=st.integers(1, 300_000))
def test_no_border_between_pieces_hides_a_secret(data: st.DataObject, place: int, cut: int) -> None:
    secret = data.draw(shapes)
    known = "k n o w n / value+1"
    line = "2026-11-20 an ordinary line of a log\n"
    text = (line * 20_000)[:place] + f"\n{secret}\n{known}\n" + line * 3000
    scrubber = Scrubber((known,), Tokens())
    pieces = [scrubber.feed(text[at : at + cut]) for at in range(0, len(text), cut)]
    scrubbed = "".join(pieces) + scrubber.finish()
    assert known not in scrubbed
    assert not any(part in scrubbed for part in secret.splitlines() if "-----" not in part)
    assert scrubbed.startswith(line[:place]) and scrubbed.endswith(line)


def test_a_secret_without_an_end_is_dropped_to_the_end_of_its_line() -> None:
    scrubbed = scrub("x password=" + "ab1" * 400_000 + "\nnext line", ())
    assert re.fullmatch(r"x password=\[secret:\w{8}\]\nnext line", scrubbed)


@pytest.mark.parametrize(
    "text",
    ["a" * 10_000_000, "-a" * 2_000_000, "eyJ" * 2_000_000, "://a:" * 500_000, "key:" * 200_000, "password=" * 500_000,
     "-----BEGIN PRIVATE KEY-----" * 100_000, 'password="' + '\\"' * 1_000_000, "--key " * 500_000, "[secret:" * 500_000],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_no_text_takes_more_than_linear_time(text: str) -> None:
    started = time.process_time()
    scrub(text, ("some known value", "another one"))
    assert time.process_time() - started < 40
