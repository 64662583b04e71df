"""Changing the configuration: checked by the real service code of the release, carried out through the health gate."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from installer import configuration, journal, settings
from installer import settings as service_settings
from installer.provision import undo_note
from tests.support.bundles import REPOSITORY, SERVICE, Bundle, free_port
from tests.support.wheels import wheel_bytes

from .site import Run, Site

SOURCES = REPOSITORY / "service" / "src" / "ragtrace"
DEFAULT = (REPOSITORY / "service" / "config.default" / "ragtrace.yaml").read_text("utf-8")
# The real package, but for the part that serves: that needs dictionaries and an index engine.
MAIN = """
import os, sys
if sys.argv[1:2] == ["serve"]:
    from ragtrace.config import find_place, load_settings
    from pathlib import Path
    server = load_settings(find_place(None, os.environ, Path(sys.prefix)), os.environ).server
    if server.max_concurrent == 666:
        sys.exit("refusing to start on purpose")
    os.environ["RAGTRACE_SERVER_HOST"], os.environ["RAGTRACE_SERVER_PORT"] = server.host, str(server.port)
    import ragtrace.fake
else:
    from ragtrace.entrypoints.cli.main import main
    sys.exit(main())
"""


def real_wheels(version: str = "1.0.0") -> dict[str, bytes]:
    """The service's own configuration code, and the YAML library it reads with."""
    files: dict[str, str | bytes] = {
        f"ragtrace/{path.relative_to(SOURCES).as_posix()}": path.read_bytes()
        for path in SOURCES.rglob("*.py")
    }
    files["ragtrace/__main__.py"] = MAIN
    files["ragtrace/fake.py"] = SERVICE.format(version=version, mode="healthy")
    library = Path(yaml.__file__).parent
    reader: dict[str, str | bytes] = {f"yaml/{path.name}": path.read_bytes() for path in library.glob("*.py")}
    return {
        f"ragtrace-{version}-py3-none-any.whl": wheel_bytes("ragtrace", version, files),
        "PyYAML-6.0-py3-none-any.whl": wheel_bytes("PyYAML", "6.0", reader),
    }


@pytest.fixture
def installed(site: Site, bundle_for: Callable[..., Bundle]) -> Site:
    """A running installation with the product's own configuration."""
    done = site.install(bundle_for(wheels=real_wheels()), "--no-start")
    assert done.code == 0, done.err
    # What test bundles carry as their default is not the product's.
    (site.prefix.config / "ragtrace.yaml").write_text(DEFAULT, "utf-8")
    started = site.run("--start")
    assert started.code == 0, started.err
    return site


def files(site: Site) -> dict[str, bytes]:
    """Every file whose bytes a change that fails must not touch."""
    prefix = site.prefix
    found = {path.name: path.read_bytes() for path in prefix.config.iterdir()}
    return {**found, "service.json": prefix.service.read_bytes(), "current.json": prefix.pointer.read_bytes()}


def change(site: Site, *words: str) -> Run:
    return site.run("--config", *words, "--lang", "en")


def served(site: Site) -> dict[str, str]:
    status, answer = site.get("/environment")
    assert status == 200, answer
    return dict(answer)


def test_every_key_is_shown_with_its_value_and_where_it_comes_from(installed: Site) -> None:
    (installed.prefix.config / "ragtrace.yaml").write_text("search:\n  top_n: 7\n")
    document = installed.run("--config", "--json").document
    assert document["values"]["search.top_n"] == 7
    assert document["origins"]["search.top_n"] == "ragtrace.yaml"
    assert document["values"]["server.port"] == installed.port
    assert document["origins"]["server.port"] == ".env"
    assert document["origins"]["answer.model"] == "default"
    shown = installed.run("--config", "--lang", "ko").out
    assert "search.top_n" in shown and "기본값" in shown


def test_a_value_is_changed_by_its_key_or_its_variable_and_the_service_has_it(installed: Site) -> None:
    pid = installed.run("--status", "--json").document["service"]["pid"]
    assert change(installed, "search.top_n=9", "RAGTRACE_ANSWER_SENTENCES=4").code == 0
    assert installed.answering() == installed.active()
    assert served(installed)["RAGTRACE_SEARCH_TOP_N"] == "9"
    assert served(installed)["RAGTRACE_ANSWER_SENTENCES"] == "4"
    assert installed.run("--status", "--json").document["service"]["pid"] != pid
    assert stat.S_IMODE(installed.prefix.settings.stat().st_mode) == 0o600
    assert installed.undeclared() == []
    last = list(journal.read_lines(installed.prefix.audit))[-1]
    assert (last["action"], last["outcome"]) == ("config", "ok")
    assert last["keys"] == ["RAGTRACE_ANSWER_SENTENCES", "RAGTRACE_SEARCH_TOP_N"]


def test_an_empty_value_takes_the_override_out(installed: Site) -> None:
    before = installed.prefix.settings.read_bytes()
    change(installed, "search.top_n=9")
    assert change(installed, "search.top_n=").code == 0
    assert installed.prefix.settings.read_bytes() == before
    again = installed.run("--config", "search.top_n=", "--json")
    assert (again.code, again.document["action"]) == (0, "unchanged")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serch.topn=3",), "The nearest is 'search.top_n'"),
        (("RAGTRACE_SERCH_TOPN=3",), "The nearest is 'RAGTRACE_SEARCH_TOP_N'"),
        (("search.top_n=many",), "takes a whole number"),
        (("search.top_n=0",), "must be 1 to 50"),
        (("answer.model=oracle",), "is one of: auto, extractive"),
        (("chunks.overlap=900",), "chunks.overlap must be less"),
        (("search.top_n",), "is not KEY=VALUE"),
        (("search.top_n=1", "RAGTRACE_SEARCH_TOP_N=2"), "stands twice"),
        (("data.folder=a\nRAGTRACE_SERVER_PORT=1",), "control character"),
        (("data.folder='x",), "quotation mark"),
        (("network.allow=everywhere",), "network.allow"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_written(
    installed: Site, words: tuple[str, ...], said: str
) -> None:
    before, pid = files(installed), installed.run("--status", "--json").document["service"]["pid"]
    done = change(installed, *words)
    assert done.code == 2, done.err
    assert said in done.err
    assert files(installed) == before
    assert installed.run("--status", "--json").document["service"]["pid"] == pid


def test_a_broken_configuration_can_be_repaired(installed: Site) -> None:
    installed.prefix.settings.write_text(
        f"RAGTRACE_SERVER_HOST=127.0.0.1\nRAGTRACE_SERVER_PORT={installed.port}\nRAGTRACE_SERVER_PROT=1\n"
    )
    shown = installed.run("--config", "--lang", "en")
    assert shown.code == 2
    assert "RAGTRACE_SERVER_PROT" in shown.err
    assert change(installed, "search.top_n=3").code == 2, "the result would still be wrong"
    assert change(installed, "search.top_n=3", "RAGTRACE_SERVER_PROT=").code == 0


def test_a_service_that_does_not_come_back_gets_its_earlier_files_and_runs(installed: Site) -> None:
    before = files(installed)
    done = change(installed, "server.max_concurrent=666")
    assert done.code == 16, done.err
    assert "refusing to start on purpose" in done.err
    assert files(installed) == before
    assert installed.answering() == installed.active()
    assert not undo_note(installed.prefix).exists()
    assert installed.undeclared() == []


def test_the_port_moves_everywhere_at_once_and_back_again(installed: Site) -> None:
    earlier, later = installed.port, free_port()
    assert change(installed, f"server.port={later}").code == 0
    known = service_settings.decode(installed.prefix.service.read_bytes())
    assert known.port == later
    assert installed.answering() == ""
    installed.port = later
    assert installed.answering() == installed.active()
    assert str(later) in installed.run("--status", "--json").document["service"]["address"]
    assert change(installed, "server.port=").code == 0, "the file's port counts then"
    assert service_settings.decode(installed.prefix.service.read_bytes()).port == 8400
    assert change(installed, f"server.port={earlier}").code == 0


def test_a_file_replaces_the_configuration_and_the_earlier_one_is_kept(
    installed: Site, tmp_path: Path
) -> None:
    new = tmp_path / "새 설정.yaml"
    new.write_text(DEFAULT.replace("top_n: 5", "top_n: 11"), "utf-8")
    done = installed.run("--config-file", str(new))
    assert done.code == 0, done.err
    folder = installed.prefix.config
    assert (folder / "ragtrace.yaml").read_bytes() == new.read_bytes()
    assert (folder / "ragtrace.yaml.previous").read_text("utf-8") == DEFAULT
    assert stat.S_IMODE((folder / "ragtrace.yaml").stat().st_mode) == 0o600
    assert installed.run("--config", "--json").document["values"]["search.top_n"] == 11


def test_a_port_that_a_new_file_changes_is_meant(installed: Site, tmp_path: Path) -> None:
    later = free_port()
    new = tmp_path / "new.yaml"
    new.write_text(DEFAULT.replace("port: 8400", f"port: {later}"), "utf-8")
    assert installed.run("--config-file", str(new)).code == 0
    installed.port = later
    assert installed.answering() == installed.active()
    assert service_settings.decode(installed.prefix.service.read_bytes()).port == later


@pytest.mark.parametrize("text", ["search:\n  top_m: 3\n", "a: [", "\xff", "server:\n  port: 1\n  port: 2\n"])
def test_a_wrong_file_is_refused(installed: Site, tmp_path: Path, text: str) -> None:
    new = tmp_path / "new.yaml"
    new.write_bytes(text.encode("latin-1"))
    before = files(installed)
    assert installed.run("--config-file", str(new)).code == 2
    assert installed.run("--config-file", str(tmp_path / "missing")).code == 2
    assert files(installed) == before


def test_a_dry_run_shows_the_change_and_writes_nothing(installed: Site) -> None:
    before = files(installed)
    done = installed.run("--config", "search.top_n=9", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert "+RAGTRACE_SEARCH_TOP_N=9" in done.document["difference"]
    assert [step["name"] for step in done.document["steps"]] == [
        "standby", "configure", "unit", "start", "health", "accept",
    ]  # fmt: skip
    assert done.document["seconds"] > 0
    shown = installed.run("--config", "search.top_n=9", "--dry-run", "--lang", "en").out
    assert "+RAGTRACE_SEARCH_TOP_N=9" in shown and "about" in shown
    assert files(installed) == before


def test_secrets_are_nowhere_but_in_the_file(installed: Site) -> None:
    with open(installed.prefix.settings, "a", encoding="utf-8") as stream:
        stream.write("HTTP_TOKEN=hunter2\nRAGTRACE_NETWORK_ALLOW=10.0.0.0/8\n")
    outputs = [
        change(installed, "search.top_n=9", "--dry-run"),
        change(installed, "search.top_n=9", "--json"),
        installed.run("--config"),
        installed.run("--config", "--json"),
    ]
    assert all(done.code == 0 for done in outputs)
    assert "HTTP_TOKEN" in outputs[2].out
    assert b"hunter2" in installed.prefix.settings.read_bytes()
    places = [
        path for path in installed.root.rglob("*") if path.is_file() and path != installed.prefix.settings
    ]
    assert not [path for path in places if b"hunter2" in path.read_bytes()]
    assert not [done for done in outputs if "hunter2" in done.out + done.err]


def test_a_diff_hides_secrets_in_both_kinds_of_files() -> None:
    env = configuration.difference(Path("c/.env"), "A=1\n", "A=2\nRAGTRACE_LLM_API_KEY=abc\nRAGTRACE_X=1\n")
    assert not [line for line in env if "abc" in line or line.endswith("=2")]
    assert "+RAGTRACE_X=1" in env
    text = "records:\n  url: postgresql://me:pw1@db/x\n  api_key: abc\n  top: 3\n"
    shown = "\n".join(configuration.difference(Path("c/ragtrace.yaml"), "", text))
    assert "pw1" not in shown and "abc" not in shown
    assert "postgresql://me:" in shown and "top: 3" in shown


def killed(site: Site, step: str, moment: str) -> None:
    """Change the configuration, and die when a step has been applied, or half-way into it."""
    hook = (
        "import os, sys\nfrom installer.steps import switch, commit\n"
        f"kind = {{'configure': switch.Configure, 'start': switch.StartService, 'health': switch.WaitHealthy,"
        f" 'accept': commit.Accept}}[{step!r}]\n"
        "real = kind.apply\n"
        "def strike(self):\n"
        f"    if {moment!r} == 'after': real(self)\n"
        "    os._exit(99)\n"
        "kind.apply = strike\n"
    )
    command = site.command("--config", "search.top_n=9", f"server.port={free_port()}")
    command[3] = hook + command[3]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    assert subprocess.run(command, env=environment, check=False, capture_output=True).returncode == 99


@pytest.mark.parametrize(
    ("step", "moment"), [("configure", "after"), ("start", "before"), ("start", "after"), ("health", "after")]
)
def test_killed_before_the_commit_the_earlier_configuration_is_in_force_again(
    installed: Site, step: str, moment: str
) -> None:
    before = files(installed)
    killed(installed, step, moment)
    assert installed.run("--start").code == 0
    assert files(installed) == before
    assert installed.answering() == installed.active()
    assert "RAGTRACE_SEARCH_TOP_N" not in served(installed), "not even the process has what was taken back"
    assert installed.undeclared() == []


def test_killed_after_the_commit_the_new_configuration_stays(installed: Site) -> None:
    killed(installed, "accept", "after")
    installed.port = service_settings.decode(installed.prefix.service.read_bytes()).port
    assert installed.run("--start").code == 0
    assert served(installed)["RAGTRACE_SEARCH_TOP_N"] == "9"


def test_a_release_that_cannot_check_is_told_apart(site: Site, bundle_for: Callable[..., Bundle]) -> None:
    site.install(bundle_for())
    before = files(site)
    for words in ((), ("server.port=1",)):
        done = site.run("--config", *words, "--lang", "en")
        assert done.code == 2
        assert "cannot check a configuration" in done.err
    assert files(site) == before


@pytest.mark.parametrize(
    "value", ["a b", "a#b", "it's", 'say "x" now', "C:\\x y", "$HOME", "한글 값", "a=b", "x;y"]
)
def test_what_is_written_is_read_alike_by_installer_and_service(tmp_path: Path, value: str) -> None:
    text = settings.with_variables("", {"RAGTRACE_DATA_FOLDER": value})
    assert settings.parse_environment(text) == {"RAGTRACE_DATA_FOLDER": value}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "ragtrace.yaml").write_text("")
    candidate = json.dumps({"env": text})
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "service" / "cli.py"), "config", "check", "--candidate", "--json"],
        input=candidate, capture_output=True, text=True, check=False,
        env={**os.environ, "RAGTRACE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert json.loads(done.stdout)["values"]["data.folder"] == value


@pytest.mark.parametrize("value", ["a\nb", "'x", 'x"', "a'b\"c", "it's $5", "\x7f"])
def test_what_cannot_be_written_for_all_readers_is_refused(value: str) -> None:
    with pytest.raises(ValueError):
        settings.quoted(value)


def test_a_variable_that_stands_twice_stands_once_after_a_change() -> None:
    assert settings.with_variables("A=1\n# A=0\nA=2\nB=3\n", {"A": "5"}) == "A=5\n# A=0\nB=3\n"
    assert settings.with_variables("A=1\nA=2\nB=3\n", {"A": ""}) == "B=3\n"


def test_a_command_that_is_told_holds_no_secret() -> None:
    words = ["install.py", "--config", "llm.api_key=abc", "search.top_n=3", "--prefix", "/token=1"]
    assert configuration.shown_words(words) == [
        "install.py", "--config", "llm.api_key=********", "search.top_n=3", "--prefix", "/token=********",
    ]  # fmt: skip
    assert configuration.shown_words(["--bundle", "token=1"]) == ["--bundle", "token=1"]
