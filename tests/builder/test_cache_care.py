"""``cache show``, ``verify`` and ``prune``: what is told, what goes, and what never goes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from builder import cache_care, cli
from builder.cache import Cache
from builder.cache_care import PruneOrder
from tests.builder.test_cache import put, user
from tests.support.wheels import sdist_bytes, wheel_bytes

NOW = 2_000_000_000.0
DAY = 24 * 3600
__all__ = ["user"]  # the fixture of test_cache
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(cache: Cache, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("RAGTRACE_CACHE_DIR", str(cache.root))

    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main(["cache", *words])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


def aged(cache: Cache, data: bytes, days: float) -> str:
    digest = put(cache, data)
    os.utime(cache.path(digest), (NOW - days * DAY, NOW - days * DAY))
    return digest


def litter(cache: Cache) -> None:
    """Leave what killed builds leave."""
    (cache.root / "work" / "tmpabc").mkdir()
    (cache.root / "work" / "tmpabc" / "half").write_bytes(bytes(100))
    (cache.root / "locks" / "build-1.lock").touch()
    (cache.root / "partial" / "old.lock").touch()
    (cache.root / "partial" / "0123").write_bytes(bytes(50))
    cache.remember_built("gone", {"sha256": "0" * 64})


def names(cache: Cache, plan: cache_care.PrunePlan) -> set[str]:
    return {item.path.relative_to(cache.root).as_posix() for item in plan.items()}


LITTER = {"work/tmpabc", "locks/build-1.lock", "partial/old.lock", "built/gone.json"}


def test_without_options_only_what_killed_builds_left_goes(cache: Cache) -> None:
    aged(cache, b"one", 400)
    litter(cache)
    assert names(cache, cache_care.plan_prune(cache, PruneOrder(), NOW)) == LITTER
    wanted = PruneOrder(partials=True)
    assert names(cache, cache_care.plan_prune(cache, wanted, NOW)) == {*LITTER, "partial/0123"}


def test_files_go_by_age_and_their_records_with_them(cache: Cache) -> None:
    old, new = aged(cache, b"old", 31), aged(cache, b"new", 29)
    cache.remember_built("of-old", {"sha256": old})
    cache.remember_built("of-new", {"sha256": new})
    plan = cache_care.plan_prune(cache, PruneOrder(older_than_days=30), NOW)
    assert names(cache, plan) == {f"files/{old[:2]}/{old}", "built/of-old.json"}
    cache_care.apply(plan)
    assert not cache.path(old).exists() and cache.path(new).exists() and cache.built("of-new")


def test_the_least_recently_used_go_until_the_size_fits(cache: Cache) -> None:
    first, second, third = (aged(cache, bytes([n]) * 100, days) for n, days in ((1, 3), (2, 2), (3, 1)))
    for limit, gone in ((300, []), (299, [first]), (150, [first, second]), (0, [first, second, third])):
        plan = cache_care.plan_prune(cache, PruneOrder(max_bytes=limit), NOW)
        assert [item.path.name for item in plan.files] == gone


def test_age_and_size_together_take_what_either_takes(cache: Cache) -> None:
    old, middle, _ = (aged(cache, bytes([n]) * 100, days) for n, days in ((1, 90), (2, 2), (3, 1)))
    plan = cache_care.plan_prune(cache, PruneOrder(older_than_days=30, max_bytes=100), NOW)
    assert [item.path.name for item in plan.files] == [old, middle]


def test_a_link_in_the_cache_is_removed_and_never_followed(cache: Cache, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (cache.root / "work" / "link").symlink_to(outside)
    cache_care.apply(cache_care.plan_prune(cache, PruneOrder(), NOW))
    assert (outside / "precious").exists() and not list((cache.root / "work").iterdir())


def test_a_dry_run_deletes_nothing_and_a_run_deletes_what_it_showed(cache: Cache, run: Run) -> None:
    litter(cache)
    digest = aged(cache, b"x", 0)
    code, out, _ = run("prune", "--dry-run", "--json", "--max-size", "0")
    shown = json.loads(out)
    assert code == 0 and shown["removed"] is False and (cache.root / "work" / "tmpabc").is_dir()
    assert {item["path"] for item in shown["items"]} == {*LITTER, f"files/{digest[:2]}/{digest}"}
    done = json.loads(run("prune", "--json", "--max-size", "0")[1])
    assert done["removed"] is True and done["items"] == shown["items"]
    assert not cache.path(digest).exists() and (cache.root / "partial" / "0123").exists()


def test_show_tells_bytes_by_kind_in_both_languages(cache: Cache, run: Run) -> None:
    wheel, source = wheel_bytes("a", "1"), sdist_bytes("a", "1")
    tensors = (2).to_bytes(8, "little") + b'{"x":1}'
    for data in (wheel, source, tensors, b"GGUF....", b"else"):
        put(cache, data)
    litter(cache)
    (cache.root / "tools").mkdir()
    (cache.root / "tools" / "uv").write_bytes(bytes(10))
    document = json.loads(run("show", "--json")[1])
    kinds = {kind: (found["count"], found["bytes"]) for kind, found in document["kinds"].items()}
    assert kinds["wheel"] == (1, len(wheel)) and kinds["source"] == (1, len(source))
    assert kinds["model"] == (2, len(tensors) + 8) and kinds["other"] == (1, 4)
    assert kinds["unfinished"] == (1, 50) and kinds["tool"] == (1, 10) and document["users"] == []
    assert "받다 만 파일" in run("show", "--lang", "ko")[1] and str(cache.root) in run("show")[1]


def test_verify_names_changed_files_and_removes_them_when_asked(cache: Cache, run: Run) -> None:
    good, bad = put(cache, b"good"), put(cache, b"bad")
    assert run("verify")[0] == 0
    cache.path(bad).write_bytes(b"poison")
    code, _, err = run("verify")
    assert code == 10 and bad in err and good not in err and cache.path(bad).exists()
    code, out, _ = run("verify", "--remove", "--json")
    assert code == 0 and json.loads(out.splitlines()[-1]) == {"files": 2, "removed": [bad]}
    assert not cache.path(bad).exists() and run("verify")[0] == 0


def test_prune_is_refused_while_a_build_runs_and_says_which(
    cache: Cache, run: Run, user: subprocess.Popen[str]
) -> None:
    digest = aged(cache, b"x", 400)
    code, _, err = run("prune", "--older-than", "1", "--lang", "en")
    assert code == 15 and str(user.pid) in err and cache.path(digest).exists()
    assert str(user.pid) in run("show")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--max-size", "lots"], "not understood"), (["--older-than", "-1"], "at least 0")],
)
def test_wrong_limits_are_refused(run: Run, words: list[str], message: str) -> None:
    code, _, err = run("prune", *words)
    assert code == 2 and message in err


def test_a_file_in_use_today_survives_pruning_by_age(cache: Cache, run: Run) -> None:
    digest = put(cache, b"x")
    os.utime(cache.path(digest), (time.time() - 100 * DAY,) * 2)
    assert cache.has(digest)
    assert run("prune", "--older-than", "1")[0] == 0
    assert cache.path(digest).exists()
