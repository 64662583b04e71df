"""A model the whole way: pinned, planned, fetched, carried in a signed bundle, and checked there again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from builder import cli, inputs, planning
from builder.cache import Cache, open_default
from bundle import layout, verify
from bundle.trust import Anchors
from tests.builder.models.conftest import FILES, REPOSITORY, Declare, in_folder, pin_now
from tests.support import carried_uv
from tests.support.hub import Hub

CHOSEN = sorted(set(FILES) - {"unwanted.h5"})


@pytest.fixture
def words(project: inputs.ProjectSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options of a build of the sample project into a folder of the test's own."""
    monkeypatch.setattr(planning, "uv_for", carried_uv.uv_for)
    carried_uv.in_cache(open_default())
    return ["--project-root", str(project.root), "--allow-build", "beta-pkg", "--lang", "en"]


def built(words: list[str], output: Path, *more: str) -> int:
    return cli.main(["build", *words, "--output-dir", str(output), *more, "--json"])


def test_a_model_is_carried_in_a_signed_bundle(
    hub: Hub,
    declare: Declare,
    cache: Cache,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = pin_now(declare(), cache)
    assert built(words, tmp_path / "out", "--model", "tiny") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    subprocess.run(["tar", "xzf", result["archive"], "-C", str(tmp_path)], check=True)
    root = next(path.parent for path in tmp_path.glob(f"*/{layout.MANIFEST}"))
    bundle = verify.open_bundle(root, Anchors(allowed_signers=Path(result["allowed_signers"]).read_text()))
    (carried,) = bundle.manifest.models
    assert (carried.name, carried.source, carried.revision) == ("tiny", REPOSITORY, model.commit)
    for path in CHOSEN:
        assert (root / carried.folder / path).read_bytes() == FILES[path]
    assert cli.main(["models", "check", "--bundle", str(root), "--lang", "en"]) == 0


def test_a_folder_gives_the_same_bundle_as_the_repository(
    hub: Hub, declare: Declare, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pin_now(declare(), open_default())
    digests = []
    for output, given in (("first", "tiny"), ("second", f"tiny={in_folder(tmp_path / 'given', FILES)}")):
        assert built(words, tmp_path / output, "--model", given) == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        digests.append(result["sha256"])
    assert digests[0] == digests[1]


def test_an_unpinned_model_stops_the_plan_and_the_build(
    declare: Declare, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare()
    assert cli.main(["plan", *words, "--model", "tiny"]) == 20
    assert "models pin tiny" in capsys.readouterr().err
    assert built(words, tmp_path / "out", "--model", "tiny") == 20
    assert not list((tmp_path / "out").glob("*.tar.gz"))


def test_a_model_that_may_not_be_carried_leaves_no_archive(
    hub: Hub,
    declare: Declare,
    cache: Cache,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.add("lab/coded", FILES | {"config.json": b'{"auto_map": {"AutoModel": "m.M"}}'})
    pin_now(declare(repository="lab/coded"), cache)
    assert built(words, tmp_path / "out", "--model", "tiny") == 20
    assert "tiny/config.json: 'auto_map' names Python code" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.tar.gz"))
