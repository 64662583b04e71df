"""The answers file: the same options as on the command line, which counts first."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.errors import UsageProblem
from installer.answers import apply_answers
from installer.options import parser
from tests.support.bundles import REPOSITORY, Bundle

from .site import Site


def ini(folder: Path, text: str) -> Path:
    path = folder / "answers.ini"
    path.write_text(text, encoding="utf-8")
    return path


def applied(path: Path, *words: str) -> list[str]:
    return apply_answers(["--answers", str(path), *words])


def refused(path: Path, *words: str) -> str:
    with pytest.raises(UsageProblem) as caught:
        applied(path, *words)
    assert caught.value.exit_code == 2
    return caught.value.render("en")


def test_without_a_file_the_command_line_is_what_it_was() -> None:
    assert apply_answers(["--status", "--json"]) == ["--status", "--json"]


def test_ini_and_json_say_the_same(tmp_path: Path) -> None:
    text = "[install]\nservice-manager = process\nport = 9000\nno-start = yes\nquiet = no\n"
    other = tmp_path / "answers.json"
    other.write_text(
        json.dumps({"service-manager": "process", "port": 9000, "no-start": True, "quiet": False})
    )
    wanted = ["--service-manager=process", "--port=9000", "--no-start"]
    assert applied(ini(tmp_path, text))[:3] == wanted
    assert applied(other)[:3] == wanted


def test_every_option_of_the_help_can_be_answered_but_commands_and_destruction(tmp_path: Path) -> None:
    spoken = set()
    for action in parser("en", Path("install.py"))._actions:
        name = action.option_strings[-1][2:]
        value = next(iter(action.choices)) if action.choices else "true" if action.nargs == 0 else "1"
        try:
            applied(ini(tmp_path, f"[install]\n{name} = {value}\n"))
        except UsageProblem as problem:
            assert "on the command line" in problem.render("en")
            spoken.add(name)
    assert spoken == {
        "help", "answers", "status", "list", "verify", "verify-only", "explain-trust", "rollback", "repair", "prune",
        "uninstall", "config", "config-file", "config-default", "restore-unit", "rebuild-index", "recover", "audit",
        "trust-update", "advisories", "start", "stop", "restore-data", "purge-data",
    }  # fmt: skip


def test_the_command_line_beats_the_file(tmp_path: Path) -> None:
    path = ini(tmp_path, "[install]\nport = 9000\ntrust-fingerprint = SHA256:a\n    SHA256:b\nlang = ko\n")
    words = applied(path, "--port", "9001", "--trust-fingerprint=SHA256:c")
    options = parser("en", Path("install.py")).parse_args(words)
    assert (options.port, options.trust_fingerprint, options.lang) == (9001, ["SHA256:c"], "ko")
    options = parser("en", Path("install.py")).parse_args(applied(path))
    assert (options.port, options.trust_fingerprint) == (9000, ["SHA256:a", "SHA256:b"])


def test_paths_start_where_the_file_lies(tmp_path: Path) -> None:
    path = ini(tmp_path, "[install]\nbundle = 번들\nallowed-signers = /etc/signers\ndelta = d1\n    d2\n")
    options = parser("en", Path("install.py")).parse_args(applied(path))
    assert options.bundle == tmp_path / "번들"
    assert options.allowed_signers == "/etc/signers"
    assert options.delta == [tmp_path / "d1", tmp_path / "d2"]


def test_an_unknown_key_names_the_nearest_and_every_problem_is_told_at_once(tmp_path: Path) -> None:
    said = refused(
        ini(
            tmp_path,
            "[install]\nservice_manger = systemd\nport = high\nno-start = perhaps\nlang = fr\nuninstall = true\n",
        )
    )
    assert "'service_manger'. The nearest is 'service-manager'" in said
    assert "'port' takes a whole number, not 'high'" in said
    assert "'no-start' takes true or false" in said
    assert "'lang' takes one of: ko, en" in said
    assert "'uninstall' is said on the command line" in said


@pytest.mark.parametrize(
    "text",
    [
        "port = 1\n", "[other]\nport = 1\n", "[install]\nport = 1\nport = 2\n", "[install]\nport = 1\n[more]\nx = 1\n",
        '{"port": 1, "port": 2}', '{"port": true}', '{"port": [1]}', '{"port": null}', "{", "[install]\nport =\n", "\x00",
        '{"trust-fingerprint": [1]}', '{"host": "a\\nb"}',
    ],
)  # fmt: skip
def test_what_is_no_answers_file_is_refused(tmp_path: Path, text: str) -> None:
    assert "RT-USAGE" in refused(ini(tmp_path, text))


def test_a_missing_or_endless_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "missing")
    assert "too large" in refused(ini(tmp_path, "[install]\n" + "# \n" * 40000))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="what root believes")
def test_root_does_not_believe_a_file_that_others_can_write(tmp_path: Path) -> None:
    path = ini(tmp_path, "[install]\nport = 9000\n")
    path.chmod(0o664)
    assert "others than root can write" in refused(path)
    path.chmod(0o644)
    os.chown(path, 12345, 0)
    assert "others than root can write" in refused(path)
    os.chown(path, 0, 0)
    assert applied(path)[0] == "--port=9000"


def test_an_installation_is_answered_by_a_file(
    site: Site, bundle_for: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = bundle_for()
    path = ini(
        tmp_path,
        f"[install]\nbundle = {bundle.root.name}\nprefix = {site.root}\nservice-manager = process\n"
        f"trust-fingerprint = {bundle.fingerprint}\n",
    )
    done = site.run("--answers", str(path))
    assert done.code == 0, done.err
    assert site.answering() == bundle.generation


def test_the_template_in_the_documents_is_a_right_one(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "how-to" / "unattended.md").read_text(encoding="utf-8")
    templates = page.split("```ini\n")[1:]
    assert len(templates) >= 1
    for template in templates:
        assert applied(ini(tmp_path, template.split("```")[0]))[0].startswith("--")
    for template in page.split("```json\n")[1:]:
        assert applied(ini(tmp_path, template.split("```")[0]))[0].startswith("--")
