"""The real huggingface_hub against a hub on loopback: pinned, fetched, resumed; every refusal with its advice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.models import hub as hub_module
from builder.models import pin
from builder.models.fetch import fetch_models
from builder.models.hub import read_token
from builder.models.planning import plan_models
from builder.models.spec import ModelSpec
from builder.plan import Artifact
from bundle.errors import BuildError, DownloadError, RagTraceError, UsageProblem
from tests.builder.models.conftest import FILES, REPOSITORY, Declare, in_folder, pin_now
from tests.support.hub import Hub, sha256
from tests.support.model_files import safetensors

TOKEN = "hf_tokenOfTheTest123"
WEIGHTS = "model.safetensors"


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


def planned() -> list[Artifact]:
    artifacts, obstacles = plan_models(["tiny"])
    assert not obstacles
    return artifacts


def fetched(cache: Cache, artifacts: Sequence[Artifact] | None = None, token: str | None = None) -> int:
    counted: list[int] = []
    fetch_models(cache, planned() if artifacts is None else artifacts, counted.append, token)
    return sum(counted)


def refused(cache: Cache, token: str | None = None) -> str:
    with pytest.raises(DownloadError) as caught:
        fetched(cache, token=token)
    assert caught.value.exit_code == 21
    assert caught.value.render("ko") != caught.value.render("en")
    return caught.value.render("en")


def test_pinning_writes_the_commit_and_every_digest_without_fetching_weights(
    hub: Hub, pinned: ModelSpec
) -> None:
    assert pinned.commit == hub.repositories[REPOSITORY].branches["main"]
    assert pinned.pins is not None
    assert {item.path: item.sha256 for item in pinned.pins.files} == {
        path: sha256(data) for path, data in FILES.items() if path != "unwanted.h5"
    }
    assert WEIGHTS not in hub.sent
    pages = [path for _, path, _ in hub.requests if "/tree/" in path]
    assert len(pages) == 2, "the tree is listed over several pages"


def test_a_pinned_model_is_fetched_once_and_then_comes_from_the_cache(
    hub: Hub, pinned: ModelSpec, cache: Cache
) -> None:
    assert fetched(cache) == len(FILES[WEIGHTS]), "the small files came with the pinning"
    hub.requests.clear()
    assert fetched(cache) == 0
    assert not hub.requests
    for item in planned():
        assert cache.verified(item.sha256).read_bytes() == FILES[item.filename]
    assert not list((cache.root / "partial").glob("[0-9a-f]*"))


def test_a_new_commit_changes_nothing_until_the_model_is_pinned_again(
    hub: Hub, pinned: ModelSpec, cache: Cache
) -> None:
    later = hub.add(REPOSITORY, FILES | {"config.json": b'{"model_type": "other"}'})
    fetched(cache)
    assert all(later not in path for _, path, _ in hub.requests)
    assert pin_now(pinned, cache, "main").commit == later


def test_pinning_tells_what_a_build_will_refuse(hub: Hub, declare: Declare, cache: Cache) -> None:
    hub.add("lab/coded", FILES | {"config.json": b'{"auto_map": {"AutoModel": "m.M"}}'})
    found = pin.pin_from_hub(declare(repository="lab/coded"), hub_module.Hub(), cache, None)
    assert [item.text().en for item in found.findings] == ["config.json: 'auto_map' names Python code to run"]


def test_a_declared_file_that_is_not_there_stops_the_pinning(
    hub: Hub, declare: Declare, cache: Cache
) -> None:
    model = declare(files=["*.json", "sparse_linear.pt"])
    with pytest.raises(BuildError) as caught:
        pin.pin_from_hub(model, hub_module.Hub(), cache, None)
    assert "sparse_linear.pt" in caught.value.render("en")


def test_a_repository_with_tricks_in_its_names_cannot_be_pinned(
    hub: Hub, declare: Declare, cache: Cache
) -> None:
    hub.add("lab/tricks", FILES | {"../../evil.json": b"{}", "CONFIG.json": b"{}"})
    with pytest.raises(BuildError) as caught:
        pin.pin_from_hub(declare(repository="lab/tricks"), hub_module.Hub(), cache, None)
    assert "../../evil.json" in caught.value.render("en") and "collides" in caught.value.render("en")


def test_a_small_file_that_is_not_what_the_tree_says_stops_the_pinning(
    hub: Hub, declare: Declare, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module.Hub, "small_file", lambda *arguments: b'{"model_type": "llamb"}')
    with pytest.raises(DownloadError, match="not the one the hub lists"):
        pin.pin_from_hub(declare(files=["config.json"]), hub_module.Hub(), cache, None)


def test_a_token_goes_to_the_hub_and_never_to_the_storage(
    hub: Hub, declare: Declare, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("lab/closed", FILES, gated=True)
    hub.tokens.add(TOKEN)
    hub.repositories["lab/closed"].accepted.add(TOKEN)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    pin_now(declare(repository="lab/closed"), cache)
    fetched(cache)
    assert hub.sent[WEIGHTS] == len(FILES[WEIGHTS])
    assert not hub.leaked


@pytest.fixture
def large(hub: Hub, declare: Declare, cache: Cache) -> bytes:
    """Return weights of 8 MB, pinned as the model ``tiny``; a download writes a megabyte at a time."""
    weights = safetensors({"weight": bytes(range(250)) * 32_000})
    hub.add("lab/large", FILES | {WEIGHTS: weights})
    pin_now(declare(repository="lab/large"), cache)
    return weights


def test_a_download_that_breaks_is_resumed_where_it_stopped(
    hub: Hub, large: bytes, cache: Cache, no_waiting: list[float]
) -> None:
    hub.faults[f"storage:{WEIGHTS}"] = [("truncate", 3_000_000), ("truncate", 2_500_000)]
    assert fetched(cache) == len(large)
    ranges = [asked for _, path, asked in hub.requests if path.endswith(WEIGHTS) and asked]
    assert len(ranges) == 2 and hub.sent[WEIGHTS] < len(large) + 2 * 1_048_576


@pytest.mark.parametrize("fault", ["wrong-range", "no-range", "other-bytes"])
def test_a_piece_of_something_else_is_noticed_and_fetched_again(
    hub: Hub, large: bytes, cache: Cache, no_waiting: list[float], fault: str
) -> None:
    cache.partial(sha256(large)).write_bytes(large[:3_000_000])
    hub.faults[f"storage:{WEIGHTS}"] = [fault]
    assert fetched(cache) == len(large)
    assert cache.verified(sha256(large))


def test_a_signed_address_that_expired_is_asked_for_again(
    hub: Hub, large: bytes, cache: Cache, no_waiting: list[float]
) -> None:
    hub.faults[f"storage:{WEIGHTS}"] = [("truncate", 3_000_000), 403]
    fetched(cache)
    assert hub.sent[WEIGHTS] < len(large) + 1_048_576


def test_a_storage_that_refuses_is_named_with_its_host(
    hub: Hub, large: bytes, cache: Cache, no_waiting: list[float]
) -> None:
    hub.faults[f"storage:{WEIGHTS}"] = [403, 403]
    text = refused(cache)
    assert "let the proxy allow 127.0.0.1" in text and "secret" not in text


def test_a_killed_download_is_resumed_by_a_new_process(hub: Hub, large: bytes, cache: Cache) -> None:
    hub.pace = 0.02
    command = [
        sys.executable,
        "-c",
        _FETCH,
        str(cache.root),
        json.dumps([asdict(item) for item in planned()]),
    ]
    partial = cache.partial(sha256(large))
    with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as child:
        deadline = time.monotonic() + 60
        while not (partial.exists() and partial.stat().st_size > 1_000_000):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
    kept = partial.stat().st_size
    assert kept < len(large) and not cache.has(sha256(large))
    hub.pace = 0.0
    hub.requests.clear()
    subprocess.run(command, cwd=Path(__file__).parents[3], check=True)
    assert cache.verified(sha256(large)).read_bytes() == large
    asked = [span for method, path, span in hub.requests if method == "GET" and path.endswith(WEIGHTS)]
    assert asked == [f"bytes={kept}-"], "no byte is asked for twice"


_FETCH = """
import json, sys
from pathlib import Path
from builder.cache import Cache
from builder.models.fetch import fetch_models
from builder.plan import Artifact
fetch_models(Cache(Path(sys.argv[1])), [Artifact(**item) for item in json.loads(sys.argv[2])], lambda count: None)
"""


def test_two_builds_at_once_fetch_each_file_once(hub: Hub, pinned: ModelSpec, cache: Cache) -> None:
    artifacts = planned()
    threads = [threading.Thread(target=fetched, args=(cache, artifacts)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hub.sent[WEIGHTS] == len(FILES[WEIGHTS])


def test_an_interrupt_keeps_what_was_received(hub: Hub, pinned: ModelSpec, cache: Cache) -> None:
    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_models(cache, planned(), interrupt)
    assert not cache.has(sha256(FILES[WEIGHTS]))


def test_other_bytes_than_pinned_are_refused_and_nothing_is_kept(
    hub: Hub, pinned: ModelSpec, cache: Cache, no_waiting: list[float]
) -> None:
    hub.faults[f"storage:{WEIGHTS}"] = ["other-bytes"]
    assert "pin it again with 'models pin'" in refused(cache)
    assert not cache.has(sha256(FILES[WEIGHTS])) and not cache.partial(sha256(FILES[WEIGHTS])).exists()


def test_a_storage_that_sends_more_than_was_pinned_is_stopped(
    hub: Hub, pinned: ModelSpec, cache: Cache, no_waiting: list[float]
) -> None:
    hub.faults[f"storage:{WEIGHTS}"] = ["longer"] * 20
    refused(cache)
    assert not cache.has(sha256(FILES[WEIGHTS])) and not cache.partial(sha256(FILES[WEIGHTS])).exists()


def test_a_list_that_makes_no_sense_cannot_be_pinned(
    hub: Hub, declare: Declare, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    nonsense = [hub_module.RemoteFile("model.safetensors", -1, "0" * 64, "")]
    monkeypatch.setattr(hub_module.Hub, "tree", lambda *arguments: nonsense)
    with pytest.raises(DownloadError, match="makes no sense"):
        pin.pin_from_hub(declare(files=["*.safetensors"]), hub_module.Hub(), cache, None)


@pytest.mark.parametrize(
    "lie",
    [
        {"X-Linked-Etag": f'"{"0" * 64}"'},
        {"X-Linked-Size": "12"},
        {"X-Repo-Commit": "d" * 40},
    ],
    ids=["etag", "size", "commit"],
)
def test_a_file_that_the_hub_describes_otherwise_is_refused_before_it_is_fetched(
    hub: Hub, pinned: ModelSpec, cache: Cache, lie: dict[str, str]
) -> None:
    hub.lies[WEIGHTS] = lie
    assert "the hub's file is not the pinned one" in refused(cache)
    assert WEIGHTS not in hub.sent


RESOLVE = "/{repository}/resolve/{commit}/model.safetensors"


def resolve_path(pinned: ModelSpec) -> str:
    return RESOLVE.format(repository=pinned.repository, commit=pinned.commit)


@pytest.mark.parametrize(
    ("fault", "reason", "remedy"),
    [
        (401, "asks for a token", "HF_TOKEN"),
        (403, "access is refused", "proxy"),
        (404, "does not have it", "HF_ENDPOINT"),
        (429, "rate limit", "run again after"),
        ((429, "3600"), "rate limit", "run again after"),
        (500, "the hub fails", "run again"),
        (503, "the hub fails", "it resumes"),
    ],
)
def test_each_refusal_of_the_hub_has_its_own_advice(
    hub: Hub,
    pinned: ModelSpec,
    cache: Cache,
    no_waiting: list[float],
    fault: object,
    reason: str,
    remedy: str,
) -> None:
    hub.faults[resolve_path(pinned)] = [fault] * hub_module.ATTEMPTS
    text = refused(cache)
    assert reason in text and remedy in text and WEIGHTS in text
    assert 3600 not in no_waiting, "nobody waits for an hour without being told"
    assert isinstance(fault, int) or "Retry-After 3600 s" in text


@pytest.mark.parametrize("fault", [500, 503, 429, (429, "2")])
def test_a_passing_fault_of_the_hub_is_waited_out(
    hub: Hub, pinned: ModelSpec, cache: Cache, no_waiting: list[float], fault: object
) -> None:
    hub.faults[resolve_path(pinned)] = [fault, fault]
    fetched(cache)
    assert cache.has(sha256(FILES[WEIGHTS]))
    if isinstance(fault, tuple):
        assert no_waiting[:2] == [2.0, 2.0]


def asked(hub: Hub, declare: Declare, cache: Cache, token: str | None = None, **keys: object) -> str:
    """Return the advice that pinning a model gives."""
    with pytest.raises(RagTraceError) as caught:
        pin.pin_from_hub(declare(**keys), hub_module.Hub(token), cache, None)
    assert caught.value.exit_code == 21
    text = caught.value.render("en") + caught.value.render("ko")
    assert token is None or token not in text
    return text


def test_a_gated_repository_without_a_token_says_where_to_accept_and_how_to_give_one(
    hub: Hub, declare: Declare, cache: Cache
) -> None:
    hub.add("lab/closed", FILES, gated=True)
    text = asked(hub, declare, cache, repository="lab/closed")
    assert f"accept its licence at {hub.url}/lab/closed" in text and "--token-file" in text


def test_a_gated_repository_whose_licence_was_not_accepted_names_its_page(
    hub: Hub, declare: Declare, cache: Cache
) -> None:
    hub.add("lab/closed", FILES, gated=True)
    hub.tokens.add(TOKEN)
    text = asked(hub, declare, cache, TOKEN, repository="lab/closed")
    assert f"accept its licence at {hub.url}/lab/closed with this token's account" in text


def test_a_wrong_token_is_said_to_be_wrong(hub: Hub, declare: Declare, cache: Cache) -> None:
    assert "the token is wrong or has expired" in asked(hub, declare, cache, "hf_somebodyElses1")


def test_an_unknown_repository_may_be_private(hub: Hub, declare: Declare, cache: Cache) -> None:
    assert "no such repository, or a private one" in asked(hub, declare, cache, repository="lab/nothing")
    hub.tokens.add(TOKEN)
    assert "not for this token" in asked(hub, declare, cache, TOKEN, repository="lab/nothing")


def test_an_unknown_commit_is_named(hub: Hub, declare: Declare, cache: Cache) -> None:
    assert "no such commit" in asked(hub, declare, cache, commit="d" * 40)


def test_a_file_that_vanished_is_named(hub: Hub, pinned: ModelSpec, cache: Cache) -> None:
    del hub.repositories[REPOSITORY].commits[pinned.commit][WEIGHTS]
    assert "no such file at that commit" in refused(cache)


def test_a_hub_that_does_not_answer_is_named(
    hub: Hub, pinned: ModelSpec, cache: Cache, no_waiting: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "check the network and HTTPS_PROXY" in refused(cache)


def test_all_files_that_failed_are_named_and_the_others_kept(
    hub: Hub, declare: Declare, cache: Cache
) -> None:
    more = {f"model-{n}.safetensors": safetensors({"w": bytes([n]) * 500}) for n in range(3)}
    hub.add("lab/shards", FILES | more)
    model = pin_now(declare(repository="lab/shards"), cache)
    for n in range(2):
        del hub.repositories["lab/shards"].commits[model.commit][f"model-{n}.safetensors"]
    text = refused(cache)
    assert "model-0.safetensors" in text and "model-1.safetensors" in text
    assert cache.has(sha256(more["model-2.safetensors"])) and cache.has(sha256(FILES[WEIGHTS]))


def test_the_library_that_was_told_to_stay_offline_is_named(
    hub: Hub, pinned: ModelSpec, cache: Cache
) -> None:
    artifacts = json.dumps([asdict(item) for item in planned()])
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", _FETCH, str(cache.root), artifacts]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode and "DownloadError" in done.stderr and not hub.sent.get(WEIGHTS)


@pytest.mark.parametrize("content", ["", "two words", "two\nlines", "short"])
def test_a_token_file_without_a_token_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(UsageProblem) as caught:
        read_token(tmp_path / "token")
    assert not content or content not in caught.value.render("en")


def test_a_token_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert read_token(tmp_path / "token") == TOKEN


def test_a_folder_gives_its_files_without_a_second_copy(
    hub: Hub, pinned: ModelSpec, cache: Cache, tmp_path: Path
) -> None:
    folder = in_folder(tmp_path / "given", FILES)
    artifacts, _ = plan_models(["tiny"], {"tiny": folder})
    hub.requests.clear()
    (folder / WEIGHTS).chmod(0o644)
    assert fetched(cache, artifacts) == len(FILES[WEIGHTS])
    assert not hub.requests
    assert cache.path(sha256(FILES[WEIGHTS])).samefile(folder / WEIGHTS)


def test_a_folder_whose_permissions_are_its_owners_business_is_copied(
    pinned: ModelSpec, cache: Cache, tmp_path: Path
) -> None:
    folder = in_folder(tmp_path / "given", FILES)
    (folder / WEIGHTS).chmod(0o600)
    artifacts, _ = plan_models(["tiny"], {"tiny": folder})
    fetched(cache, artifacts)
    assert (folder / WEIGHTS).stat().st_mode & 0o777 == 0o600
    assert not cache.verified(sha256(FILES[WEIGHTS])).samefile(folder / WEIGHTS)


def test_a_folder_with_other_bytes_is_refused(pinned: ModelSpec, cache: Cache, tmp_path: Path) -> None:
    folder = in_folder(tmp_path / "given", FILES | {WEIGHTS: bytes(len(FILES[WEIGHTS]))})
    artifacts, _ = plan_models(["tiny"], {"tiny": folder})
    with pytest.raises(DownloadError) as caught:
        fetched(cache, artifacts)
    assert "the folder's file is not the pinned one" in caught.value.render("en")
    assert not cache.has(sha256(bytes(len(FILES[WEIGHTS]))))


def test_a_delivered_folder_is_pinned_by_its_own_digests(declare: Declare, tmp_path: Path) -> None:
    folder = in_folder(tmp_path / "given", FILES | {".git/config": b"x", ".cache/huggingface/a.json": b"{}"})
    model = declare(repository="local")
    found = pin.pin_from_folder(model, folder, None, lambda count: None)
    assert len(found.pins.commit) == 64
    assert [item.path for item in found.pins.files] == sorted(set(FILES) - {"unwanted.h5"})
    again = pin.pin_from_folder(model, folder, None, lambda count: None)
    assert again.pins == found.pins


def test_somebody_elses_download_has_to_say_its_commit(declare: Declare, tmp_path: Path) -> None:
    folder = in_folder(tmp_path / "given", FILES)
    with pytest.raises(UsageProblem, match="which commit"):
        pin.pin_from_folder(declare(), folder, "main", lambda count: None)
    found = pin.pin_from_folder(declare(), folder, "c" * 40, lambda count: None)
    assert found.pins.commit == "c" * 40
