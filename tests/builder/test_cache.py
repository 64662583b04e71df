"""The cache under several processes: one works and the other waits; nothing in use is pruned; poison is noticed."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder import cache as caches
from builder import kernel_lock
from builder.cache import Cache
from builder.inputs import REPOSITORY
from bundle.errors import BusyError, IntegrityError
from tests.support.index import Index
from tests.support.wheels import sdist_bytes

ALPHA = "alpha-1.0-py3-none-any.whl"


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start another builder's Python."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finished(*processes: subprocess.Popen[str]) -> list[str]:
    answers = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        answers.append(out.strip())
    return answers


def put(cache: Cache, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    place = cache.root / "work" / digest
    place.write_bytes(data)
    cache.admit(place, digest)
    return digest


@pytest.fixture
def user(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """Another process that has opened the cache and works on."""
    code = "import time; from builder.cache import open_default; c = open_default(); print('in', flush=True); time.sleep(60)"
    monkeypatch.setenv("RAGTRACE_CACHE_DIR", str(cache.root))
    process = python(code)
    assert process.stdout is not None and process.stdout.readline() == "in\n"
    yield process
    process.kill()
    process.communicate()


# -- locks


def test_of_two_holders_one_waits(cache: Cache) -> None:
    code = (
        "import sys, time; from pathlib import Path; from builder.cache import Cache\n"
        "log = Path(sys.argv[2])\n"
        "with Cache(Path(sys.argv[1])).lock('x'):\n"
        "    for word in ('begin', 'end'):\n"
        "        with log.open('a') as stream: stream.write(word + ' ')\n"
        "        time.sleep(0.2)\n"
    )
    log = cache.root / "log"
    finished(*(python(code, str(cache.root), str(log)) for _ in range(4)))
    assert log.read_text() == "begin end " * 4
    assert not list((cache.root / "locks").iterdir())


def test_a_killed_holder_releases_its_lock(cache: Cache) -> None:
    code = (
        "import sys, time; from pathlib import Path; from builder.cache import Cache\n"
        "with Cache(Path(sys.argv[1])).lock('x'):\n    print('held', flush=True); time.sleep(60)\n"
    )
    process = python(code, str(cache.root))
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    place = cache.root / "locks" / "x.lock"
    assert kernel_lock.take(place, wait=False) is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with cache.lock("x"):
        assert place.exists()


# -- two at once


def test_two_builds_that_fetch_the_same_file_fetch_it_once(cache: Cache, index: Index) -> None:
    digest = hashlib.sha256(index.files[ALPHA]).hexdigest()
    code = (
        "import sys; from pathlib import Path; from builder import fetch; from builder.cache import Cache\n"
        "from builder.plan import Artifact\n"
        "item = Artifact('wheel', 'alpha', '1.0', sys.argv[2], sys.argv[3], sys.argv[4], 0, ('3.11',), '')\n"
        "seen = []\nfetch.fetch(Cache(Path(sys.argv[1])), [item], seen.append)\nprint(sum(seen))\n"
    )
    arguments = (str(cache.root), ALPHA, f"{index.url}/files/{ALPHA}", digest)
    received = finished(*(python(code, *arguments) for _ in range(3)))
    assert index.downloads(ALPHA) == 1
    assert sorted(map(int, received)) == [0, 0, len(index.files[ALPHA])]


def test_two_builds_of_the_same_source_build_it_once(cache: Cache, tmp_path: Path) -> None:
    digest = put(cache, sdist_bytes("thing", "1.0"))
    code = (
        "import sys; from pathlib import Path; from builder.cache import Cache\n"
        "from builder.plan import Artifact; from builder.sources.build import build_sources\n"
        "from tests.builder.sources.conftest import Quiet, plan_of\n"
        "item = Artifact('sdist', 'thing', '1.0', 'thing-1.0.tar.gz', 'https://i.example/t', sys.argv[2], 0, ('3.11',), '')\n"
        "quiet = Quiet()\n"
        "(wheel,) = build_sources(Cache(Path(sys.argv[1])), plan_of(Path(sys.argv[3]), item), allow_build=frozenset('*'), progress=quiet)\n"
        "print(len(quiet.lines), wheel.sha256)\n"
    )
    answers = finished(*(python(code, str(cache.root), digest, str(tmp_path)) for _ in range(2)))
    assert sorted(answer.split()[0] for answer in answers) == ["0", "1"]
    assert len({answer.split()[1] for answer in answers}) == 1
    assert not list((cache.root / "work").iterdir())


# -- users


def test_nobody_prunes_while_another_process_uses_the_cache(
    cache: Cache, user: subprocess.Popen[str]
) -> None:
    with pytest.raises(BusyError) as caught, cache.users.alone():
        raise AssertionError("let in")
    assert str(user.pid) in caught.value.render("en") and caught.value.exit_code == 15
    user.kill()
    user.communicate()
    with cache.users.alone():
        assert not list((cache.root / "users").iterdir())


def test_a_build_that_begins_meanwhile_waits_until_pruning_is_done(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGTRACE_CACHE_DIR", str(cache.root))
    with cache.users.alone():
        process = python("from builder.cache import open_default; open_default(); print('in', flush=True)")
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=1.5)
        with pytest.raises(BusyError):
            Cache(cache.root).users.alone().__enter__()
    finished(process)


def test_an_entry_ends_with_the_cache_object(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGTRACE_CACHE_DIR", str(cache.root))
    opened = caches.open_default()
    assert len(list((cache.root / "users").iterdir())) == 1
    assert not opened.users.others()
    del opened
    gc.collect()
    assert not list((cache.root / "users").iterdir())


def test_whoever_comes_alone_sweeps_away_what_a_killed_build_left(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGTRACE_CACHE_DIR", str(cache.root))
    left = cache.root / "work" / "left"
    left.mkdir()
    (left / "file").write_text("x")
    first = caches.open_default()
    assert not left.exists()
    at_work = cache.root / "work" / "at-work"
    at_work.mkdir()
    second = caches.open_default()
    assert at_work.exists(), "somebody is here: it may be theirs"
    assert first.root == second.root


# -- contents


def test_a_use_is_noted_for_pruning(cache: Cache) -> None:
    digest = put(cache, b"x")
    os.utime(cache.path(digest), (1_000_000, 1_000_000))
    assert cache.has(digest)
    assert time.time() - cache.path(digest).stat().st_mtime < 60


def test_a_changed_file_is_removed_when_it_is_used(cache: Cache) -> None:
    digest = put(cache, b"good")
    cache.path(digest).write_bytes(b"evil")
    with pytest.raises(IntegrityError):
        cache.verified(digest)
    assert not cache.has(digest)


def test_a_record_without_its_file_or_that_is_no_record_counts_as_nothing(cache: Cache) -> None:
    digest = put(cache, b"x")
    cache.remember_built("key", {"sha256": digest, "more": "text"})
    assert cache.built("key") == {"sha256": digest, "more": "text"}
    cache.drop(digest)
    assert cache.built("key") is None
    (cache.root / "built" / "key.json").write_text("[1")
    assert cache.built("key") is None and cache.built("other") is None
