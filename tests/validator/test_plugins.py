"""Plugins: whatever one does, it costs only its own results; nobody else's file is ever run."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import jsonschema
import pytest

from bundle.errors import UsageProblem
from tests.validator.fakes import Installation
from validator.api import Report, validate
from validator.cli import main
from validator.model import Result, Status
from validator.plugins import folders, loading
from validator.plugins.source import ENTRY_POINT
from validator.subject import Subject

GOOD = """
def look(context):
    return {"status": "pass", "details": {"ko": "좋음", "en": "fine at %(host)s:%(port)s" % context}, "measured": "1"}

CHECKS = [
    {"id": "ABC-001", "category": "RAGTrace", "title": {"ko": "가", "en": "a"}, "severity": "low", "timeout_s": 3,
     "run": look},
]
"""


def good(identity: str) -> str:
    """Return a plugin whose one check passes."""
    return GOOD.replace("ABC-001", identity)


def plugin(body: str, identity: str = "ABC-001", more: str = "") -> str:
    """Return a plugin whose one check does *body*."""
    lines = "\n".join("    " + line for line in body.splitlines())
    return (
        f"def look(context):\n{lines}\n\n"
        f'CHECKS = [{{"id": "{identity}", "category": "Tools", "title": {{"ko": "가", "en": "a"}}, "run": look{more}}}]\n'
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checks"
    made.mkdir()
    return made


def results(folder: Path, *only: str, prefix: Path | None = None) -> dict[str, Result]:
    """Run the plugins of *folder* (and nothing of ours but a cheap check)."""
    report = validate(prefix or folder / "none", only=("SYS-009", *only), plugin_folders=[folder])
    return {result.check.id: result for result in report.results}


def write(folder: Path, text: str, name: str = "toy.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    return path


def test_a_plugin_of_a_folder_is_run_and_told_where_the_service_is(folder: Path) -> None:
    write(folder, good("ABC-001"))
    found = results(folder, "ABC-001")["ABC-001"]
    assert found.status is Status.PASS
    assert found.outcome.details.en == "fine at 127.0.0.1:8400"
    assert found.check.plugin is not None and found.check.plugin.name == str(folder / "toy.py")


def test_the_folder_of_the_installation_counts_without_being_named(installation: Installation) -> None:
    checks = installation.root / "config" / "checks"
    checks.mkdir()
    write(checks, good("ABC-001"))
    report = validate(installation.root, only=["ABC-001"])
    assert [result.status for result in report.results] == [Status.PASS]
    assert not list(checks.rglob("*.pyc"))


HOSTILE = {
    "raises": ("raise RuntimeError('boom')", "RuntimeError: boom"),
    "leaves": ("raise SystemExit(0)", "SystemExit"),
    "dies": ("import os; os._exit(7)", "code 7"),
    "hangs": ("import time; time.sleep(600)", "time limit"),
    "floods": ("while True: print('x' * 1000)", "output limit"),
    "eats": ("return len(bytearray(3 << 30))", "memory limit"),
    "says nothing": ("return None", "not in the protocol"),
    "lies": ("return {'status': 'error', 'details': 'x'}", "status 'error'"),
    "no words": ("return {'status': 'pass'}", "details is not"),
    "empty words": ("return {'status': 'pass', 'details': {'ko': ' ', 'en': '\\x00'}}", "details is empty"),
    "no data": ("return {'status': 'pass', 'details': look}", "not JSON serializable"),
    "endless line": ("return {'status': 'pass', 'details': 'x' * 1000000}", "output limit"),
    "list": ("return {'status': 'pass', 'details': 'x', 'measured': [1]}", "measured is not a text"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_plugin_costs_only_its_own_result(folder: Path, what: str) -> None:
    body, words = HOSTILE[what]
    write(folder, plugin(body, more=', "timeout_s": 0.3' if what == "hangs" else ""), "a_hostile.py")
    write(folder, good("DEF-001"), "b_good.py")
    found = results(folder, "ABC-001", "DEF-001")
    assert found["ABC-001"].status is Status.ERROR
    assert words in found["ABC-001"].outcome.details.en
    assert found["DEF-001"].status is Status.PASS and found["SYS-009"].status is Status.PASS


UNFIT = {
    "syntax": ("def (", "SyntaxError"),
    "import": ("import no_such_module_anywhere", "ModuleNotFoundError"),
    "dies": ("import os; os._exit(9)", "code 9"),
    "leaves": ("raise SystemExit", "SystemExit"),
    "floods": ("while True: print('x' * 1000)", "printed more"),
    "no list": ("CHECKS = 7", "no list CHECKS"),
    "no checks": ("CHECKS = []", "lists no checks"),
    "nonsense": ("CHECKS = [7]", "not a dict"),
    "bad id": (plugin("pass", "abc"), "bad id 'abc'"),
    "our id": (plugin("pass", "SEC-900"), "reserved"),
    "the loader's id": (plugin("pass", "PLUG-001"), "reserved"),
    "unknown key": (plugin("pass", more=', "command": "rm -rf /"'), "unknown key 'command'"),
    "no function": (plugin("pass", more=', "run": 3'), "not callable"),
    "no category": (plugin("pass", more=', "category": "Weather"'), "category"),
    "no severity": (plugin("pass", more=', "severity": "huge"'), "severity"),
    "no time": (plugin("pass", more=', "timeout_s": 1e9'), "timeout_s"),
    "true time": (plugin("pass", more=', "timeout_s": True'), "timeout_s"),
    "no title": (plugin("pass", more=', "title": ""'), "title is empty"),
    "cycle": ("CHECKS = [{}]\nCHECKS[0]['id'] = CHECKS", "not a dict of plain"),
    "not UTF-8": ("\udcff", "cannot be read"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_a_plugin_that_gives_no_check_is_still_listed_as_an_error(folder: Path, what: str) -> None:
    text, words = UNFIT[what]
    (folder / "a_unfit.py").write_bytes(text.encode("utf-8", "surrogateescape"))
    write(folder, good("DEF-001"), "b_good.py")
    found = results(folder, "DEF-001", "PLUG-001")
    assert found["PLUG-001"].status is Status.ERROR
    assert (
        words in found["PLUG-001"].outcome.details.en and "a_unfit.py" in found["PLUG-001"].outcome.details.en
    )
    assert found["DEF-001"].status is Status.PASS


def test_a_plugin_that_hangs_while_it_is_imported_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("validator.limits.WORKER_START_S", 2.0)
    monkeypatch.setattr("validator.limits.PLUGIN_LISTING_S", 0.3)
    write(folder, "import time\ntime.sleep(600)")
    started = time.monotonic()
    assert "time limit" in results(folder, "PLUG-001")["PLUG-001"].outcome.details.en
    assert time.monotonic() - started < 10


def test_the_second_of_two_plugins_with_one_id_is_refused_by_name(folder: Path) -> None:
    write(folder, good("ABC-001"), "a.py")
    write(folder, good("ABC-001"), "b.py")
    found = results(folder, "ABC-001", "PLUG-001")
    assert found["ABC-001"].status is Status.PASS
    words = found["PLUG-001"].outcome.details.en
    assert words.startswith(str(folder / "b.py")) and str(folder / "a.py") in words


def test_one_bad_check_of_a_plugin_leaves_the_others(folder: Path) -> None:
    write(folder, good("ABC-001") + "CHECKS.append({'id': 'bad'})\n")
    found = results(folder, "ABC-001", "PLUG-001")
    assert (found["ABC-001"].status, found["PLUG-001"].status) == (Status.PASS, Status.ERROR)


@pytest.mark.parametrize("body", ["raise RuntimeError('{s}')", "import sys, os; sys.stderr.write('{s}'); os._exit(3)",
                                  "return dict(status='warn', details=dict(ko='{s}', en='{s}'), measured='{s}', expected='{s}', cause=dict(ko='{s}', en='{s}'))",
                                  "return dict(status='{s}', details='{s}')"])  # fmt: skip
def test_secrets_that_a_plugin_says_do_not_reach_the_report(
    installation: Installation, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "Zx81-kAnArY-000777"
    with installation.settings.open("a") as file:
        file.write(f"RAGTRACE_API_TOKEN={secret}\n")
    checks = installation.root / "config" / "checks"
    checks.mkdir()
    write(checks, plugin(body.format(s=secret)))
    report = validate(installation.root, only=["ABC-001"])
    assert next(result.status for result in report.results) in (Status.ERROR, Status.WARN)
    for text in (report.to_json(), report.to_html(), report.to_junit()):
        assert secret not in text
    main(["--prefix", str(installation.root), "--only", "ABC-001"])
    assert secret not in capsys.readouterr().out


def test_a_secret_in_an_import_error_or_a_title_does_not_reach_the_report(installation: Installation) -> None:
    secret = "Zx81-kAnArY-000777"
    with installation.settings.open("a") as file:
        file.write(f"RAGTRACE_API_TOKEN={secret}\n")
    checks = installation.root / "config" / "checks"
    checks.mkdir()
    write(checks, f"raise ValueError('{secret}')", "a.py")
    write(checks, plugin("pass", more=f', "title": "{secret}"'), "b.py")
    report = validate(installation.root, only=["PLUG-001", "ABC-001"])
    assert len(report.results) == 2
    assert secret not in report.to_json()


def test_control_characters_and_length_of_a_plugins_words_are_bounded(folder: Path) -> None:
    write(folder, plugin(r"return {'status': 'warn', 'details': '\x1b[31mred\u202e' + 'x' * 5000}"))
    text = results(folder, "ABC-001")["ABC-001"].outcome.details.en
    assert text.isprintable() and len(text) == 500 and text.startswith("[31mred")


def test_a_plugin_sees_none_of_the_callers_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "of-the-caller")
    write(folder, plugin("import os\nreturn {'status': 'pass', 'details': ' '.join(sorted(os.environ))}"))
    assert "SOME_TOKEN" not in results(folder, "ABC-001")["ABC-001"].outcome.details.en


def test_the_validator_itself_never_imports_a_plugin(folder: Path) -> None:
    mark = folder / "ran-as"
    write(folder, f"import os\nopen({str(mark)!r}, 'a').write(f'{{os.getpid()}} ')\n" + good("ABC-001"))
    results(folder, "ABC-001")
    ran = mark.read_text().split()
    assert len(ran) == 2 and str(os.getpid()) not in ran


def test_a_named_check_of_ours_starts_no_plugin(folder: Path) -> None:
    mark = folder / "ran"
    write(folder, f"open({str(mark)!r}, 'w').close()\n" + good("ABC-001"))
    validate(folder / "none", only=["SYS-009"], plugin_folders=[folder])
    validate(folder / "none", only=["SYS-009"], plugin_folders=[folder], plugins=False)
    assert not mark.exists()


@pytest.mark.parametrize("what", ["file", "folder", "link", "fifo", "stranger"])
def test_a_plugin_that_somebody_else_could_have_written_is_not_run(folder: Path, what: str) -> None:
    mark = folder.parent / "ran"
    path = write(folder, f"open({str(mark)!r}, 'w').close()\n" + good("ABC-001"))
    if what == "file":
        path.chmod(0o666)
    elif what == "folder":
        folder.chmod(0o777)
    elif what == "link":
        path.rename(folder.parent / "real.py")
        path.symlink_to(folder.parent / "real.py")
    elif what == "fifo":
        path.unlink()
        os.mkfifo(path)
    elif os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    else:
        pytest.skip("only root can give a file to a stranger")
    found = results(folder, "PLUG-001")["PLUG-001"]
    assert found.status is Status.ERROR
    assert not mark.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_runs_the_file_of_the_installations_owner_as_that_owner(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write the configuration must not become root by it. The interpreter may be out of that user's reach."""
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    os.chown(prefix, 12345, 12345)
    path = write(folder, plugin("import os\nreturn {'status': 'pass', 'details': str(os.geteuid())}"))
    os.chown(path, 12345, 12345)
    source = folders.find(folder, Subject(prefix), [])[0]
    assert source.owner == (12345, 12345)
    found = [
        r for r in validate(prefix, plugin_folders=[folder], categories=["tools"]).results if r.check.plugin
    ]
    assert [r.outcome.details.en for r in found] == ["12345"] or found[0].status is Status.ERROR


def test_an_entry_point_of_the_service_runs_in_the_services_interpreter(installation: Installation) -> None:
    text = plugin(
        "import os, sys, ragtrace\nreturn {'status': 'pass', 'details': sys.prefix + ' ' + os.environ['RAGTRACE_HOME']}",
        "APP-001",
    )
    installation.package("toy_checks", "1.0", {"__init__.py": "", "checks.py": text})
    info = installation.site / "toy_checks-1.0.dist-info"
    info.joinpath("entry_points.txt").write_text(
        "[ragtrace.checks]\nmodule = toy_checks.checks\nlisted = toy_checks.checks:CHECKS\nwrong = 7 up\n"
    )
    found = loading.find(Subject(installation.root))
    assert [plugin.source.kind for plugin in found.plugins] == [ENTRY_POINT, ENTRY_POINT]
    assert [check.id for check in found.checks] == ["APP-001", "PLUG-001", "PLUG-002"]
    (result,) = validate(installation.root, only=["APP-001"]).results
    assert result.status is Status.PASS, result.outcome
    assert result.outcome.details.en == f"{installation.generation / 'venv'} {installation.root}"


def test_a_broken_interpreter_of_the_service_is_an_error_not_a_traceback(installation: Installation) -> None:
    installation.package("toy_checks", "1.0", {"__init__.py": good("APP-001")})
    info = installation.site / "toy_checks-1.0.dist-info"
    info.joinpath("entry_points.txt").write_text("[ragtrace.checks]\na = toy_checks\n")
    python = installation.generation / "venv" / "bin" / "python"
    python.unlink()
    python.write_text("not a program")
    (result,) = validate(installation.root, only=["PLUG-001"]).results
    assert result.status is Status.ERROR and "cannot be started" in result.outcome.details.en


def test_the_list_shows_plugins_and_what_is_wrong_with_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, good("ABC-001"), "a.py")
    write(folder, "CHECKS = 1", "b.py")
    assert main(["--list", "--plugins", str(folder), "--prefix", str(folder / "none"), "--lang", "en"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"ABC-001 .*a\.py\]$", lines[-2]) and lines[-1].startswith("PLUG-001")


def test_a_report_with_plugins_fits_the_schema(folder: Path, repository: Path) -> None:
    write(folder, good("ABC-001"), "a.py")
    write(folder, "CHECKS = 1", "b.py")
    schema = json.loads((repository / "manifests/schema/report.schema.json").read_text())
    report: Report = validate(folder / "none", only=["ABC-001", "PLUG-001"], plugin_folders=[folder])
    document = report.to_dict()
    jsonschema.Draft202012Validator(schema).validate(document)
    assert [item["kind"] for item in document["plugins"]] == ["file", None]
    assert report.exit_code == 5 and report.overall_status == "WARNING"
    assert 'name="plugin"' in report.to_junit()


def test_a_missing_folder_of_plugins_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="no such folder of plugins"):
        validate(tmp_path, plugin_folders=[tmp_path / "none"])


def test_the_template_is_a_plugin_and_the_page_shows_the_very_same(repository: Path, folder: Path) -> None:
    page = (repository / "docs/how-to/validator-plugins.md").read_text(encoding="utf-8")
    template = (repository / "validator/plugins/example.py").read_text(encoding="utf-8")
    assert f"```python\n{template}```" in page
    write(folder, template, "example.py")
    found = results(folder, "ORG-001")
    assert found["ORG-001"].status in (Status.PASS, Status.SKIP), found["ORG-001"].outcome
