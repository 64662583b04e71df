"""Downloads: hash-enforced, resumed, retried, all problems named."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

import pytest

from builder import fetch, network
from builder.cache import Cache
from builder.plan import Artifact
from bundle.errors import DownloadError
from tests.builder.conftest import ALPHA
from tests.support.index import Index


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def artifact(index: Index, filename: str = ALPHA) -> Artifact:
    digest = hashlib.sha256(index.files[filename]).hexdigest()
    return Artifact(
        "wheel", "alpha", "1.0", filename, f"{index.url}/files/{filename}", digest, 0, ("3.11",), ""
    )


def fetched(cache: Cache, *items: Artifact) -> int:
    counted: list[int] = []
    fetch.fetch(cache, items, counted.append)
    return sum(counted)


def test_a_file_is_fetched_once_and_then_comes_from_the_cache(cache: Cache, index: Index) -> None:
    item = artifact(index)
    assert fetched(cache, item) == len(index.files[ALPHA])
    assert fetched(cache, item) == 0
    assert index.downloads(ALPHA) == 1
    assert cache.path(item.sha256).read_bytes() == index.files[ALPHA]
    assert not list((cache.root / "partial").iterdir())


def test_an_unfinished_download_is_resumed_by_range(cache: Cache, index: Index) -> None:
    item = artifact(index)
    half = len(index.files[ALPHA]) // 2
    cache.partial(item.sha256).write_bytes(index.files[ALPHA][:half])
    fetched(cache, item)
    assert ("GET", ALPHA, f"bytes={half}-") in index.requests
    assert cache.path(item.sha256).read_bytes() == index.files[ALPHA]


def test_a_connection_that_breaks_is_resumed_in_the_same_run(cache: Cache, index: Index) -> None:
    item = artifact(index)
    index.truncate_once[ALPHA] = 100
    fetched(cache, item)
    assert index.downloads(ALPHA) == 2
    assert cache.has(item.sha256)


def test_a_poisoned_partial_file_is_noticed(cache: Cache, index: Index) -> None:
    item = artifact(index)
    cache.partial(item.sha256).write_bytes(b"poison")
    assert fetched(cache, item) == len(index.files[ALPHA])
    assert cache.path(item.sha256).read_bytes() == index.files[ALPHA]
    assert [asked for _, _, asked in index.requests] == ["bytes=6-", ""]


def test_other_bytes_than_the_lock_says_are_refused(cache: Cache, index: Index) -> None:
    item = artifact(index)
    index.replaced[ALPHA] = b"someone else's wheel"
    with pytest.raises(DownloadError, match="1 file") as caught:
        fetched(cache, item)
    assert "differ from the promised hash" in caught.value.render("en")
    assert not cache.has(item.sha256)
    assert not cache.partial(item.sha256).exists()


def test_a_server_that_answers_with_the_wrong_range_is_asked_for_the_whole_file(
    cache: Cache, index: Index
) -> None:
    item = artifact(index)
    cache.partial(item.sha256).write_bytes(index.files[ALPHA][:500])
    index.wrong_range.add(ALPHA)
    assert fetched(cache, item) == len(index.files[ALPHA])
    assert cache.path(item.sha256).read_bytes() == index.files[ALPHA]


def test_a_file_that_changes_between_two_pieces_is_fetched_anew(cache: Cache, index: Index) -> None:
    item = artifact(index)
    index.etags[ALPHA] = ['"one"', '"two"']
    index.truncate_once[ALPHA] = 100
    assert fetched(cache, item) == len(index.files[ALPHA])
    assert cache.path(item.sha256).read_bytes() == index.files[ALPHA]


def test_a_server_that_asks_for_patience_gets_it(
    cache: Cache, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    index.status[ALPHA], index.retry_after = [429], "7"
    fetched(cache, artifact(index))
    assert 7.0 in waited


def test_a_server_that_asks_for_an_hour_is_left_alone_and_the_advice_says_later(
    cache: Cache, index: Index
) -> None:
    index.status[ALPHA], index.retry_after = [429], "3600"
    with pytest.raises(DownloadError) as caught:
        fetched(cache, artifact(index))
    assert "too many requests" in caught.value.render("en") and "resumes" in caught.value.render("en")
    assert index.downloads(ALPHA) == 1


def test_an_index_with_a_login_gets_it_and_no_other_host_does(
    cache: Cache, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.login = ("build", "s3cret")
    with pytest.raises(DownloadError) as caught:
        fetched(cache, artifact(index))
    assert "UV_INDEX_<NAME>_USERNAME" in caught.value.render("en")
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url.replace("://", "://build:s3cret@") + "/simple/")
    item = artifact(index)
    fetch.fetch(cache, [item], lambda count: None, network.logins_of(None))
    assert cache.has(item.sha256)
    assert "example.org" not in network.logins_of(None)


def test_credentials_of_an_address_are_never_printed(cache: Cache, index: Index) -> None:
    index.status[ALPHA] = [403]
    item = artifact(index)
    with pytest.raises(DownloadError) as caught:
        fetched(cache, replace(item, source=item.source.replace("://", "://user:t0ken@")))
    assert "t0ken" not in caught.value.render("en") + caught.value.render("ko")
    assert "HTTP 403" in caught.value.render("en")


def test_no_connection_names_the_proxy_setting(cache: Cache, index: Index) -> None:
    item = replace(artifact(index), source="http://127.0.0.1:9/files/" + ALPHA)
    with pytest.raises(DownloadError) as caught:
        fetched(cache, item)
    assert "HTTPS_PROXY" in caught.value.render("en") and "ConnectError" in caught.value.render("en")


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_passing_server_fault_is_retried(cache: Cache, index: Index, status: int) -> None:
    index.status[ALPHA] = [status, status]
    item = artifact(index)
    fetched(cache, item)
    assert cache.has(item.sha256)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_final_and_named(cache: Cache, index: Index, status: int) -> None:
    index.status[ALPHA] = [status]
    with pytest.raises(DownloadError) as caught:
        fetched(cache, artifact(index))
    assert f"HTTP {status}" in caught.value.render("en") and ALPHA in caught.value.render("ko")
    assert index.downloads(ALPHA) == 1


def test_all_files_that_failed_are_named_and_the_others_kept(cache: Cache, index: Index) -> None:
    good = artifact(index)
    missing = [
        replace(
            good, filename=f"m{n}-1-py3-none-any.whl", source=f"{index.url}/files/m{n}", sha256=str(n) * 64
        )
        for n in (1, 2)
    ]
    with pytest.raises(DownloadError) as caught:
        fetched(cache, *missing, good)
    assert len(caught.value.details) == 2
    assert cache.has(good.sha256)


def test_sizes_are_asked_for_without_downloading(cache: Cache, index: Index) -> None:
    assert fetch.remote_sizes([artifact(index)], cache) == [len(index.files[ALPHA])]
    assert index.downloads(ALPHA) == 0


def test_an_interrupt_ends_the_download_and_keeps_what_was_received(cache: Cache, index: Index) -> None:
    big = "big-1-py3-none-any.whl"
    index.add(big, bytes(30_000_000))
    item = artifact(index, big)

    def interrupt(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch.fetch(cache, [item], interrupt)
    assert 0 < cache.partial(item.sha256).stat().st_size < 30_000_000
    assert not cache.has(item.sha256)
