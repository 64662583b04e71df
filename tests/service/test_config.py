"""The configuration: every key documented, every mistake named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ragtrace.config import Place, effective, find_place, keys, load_settings
from ragtrace.errors import ConfigProblem
from ragtrace.settings import Settings

DEFAULT = Path(__file__).parents[2] / "service" / "config.default" / "ragtrace.yaml"


def load(folder: Path, text: str | bytes, **environment: str) -> Settings:
    file = folder / "ragtrace.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_settings(Place(folder, file, explicit=True), environment)


def problems(folder: Path, text: str | bytes, **environment: str) -> str:
    with pytest.raises(ConfigProblem) as caught:
        load(folder, text, **environment)
    assert caught.value.exit_code == 2
    return caught.value.render("en") + caught.value.render("ko")


def test_the_default_file_names_every_key_with_its_default() -> None:
    written = yaml.safe_load(DEFAULT.read_text("utf-8"))
    assert written == effective(Settings(home=Path("/")))
    assert {f"{section}.{key}" for section in written for key in written[section]} == set(keys())


def test_the_default_file_is_a_configuration_as_it_stands(tmp_path: Path) -> None:
    assert effective(load(tmp_path, DEFAULT.read_bytes())) == effective(Settings(home=tmp_path))


def test_text_may_be_empty_only_where_that_is_the_default(tmp_path: Path) -> None:
    assert load(tmp_path, 'embedding:\n  model: ""\n').embedding.model == ""
    assert "server.host" in problems(tmp_path, 'server:\n  host: ""\n')


def test_every_key_of_the_default_file_has_a_comment_in_both_languages() -> None:
    comment = ""
    for line in DEFAULT.read_text("utf-8").splitlines():
        if line.strip().startswith("#"):
            comment += line
        elif line.startswith("  "):
            assert any("가" <= letter <= "힣" for letter in comment), line
            assert sum(letter.isascii() and letter.isalpha() for letter in comment) > 3, line
            comment = ""


def test_an_unknown_key_names_file_line_and_the_nearest_right_key(tmp_path: Path) -> None:
    said = problems(tmp_path, "server:\n  prot: 1\nserch:\n  top_n: 3\n")
    assert "ragtrace.yaml:2" in said and "'server.port'" in said
    assert "ragtrace.yaml:3" in said and "'search'" in said


@pytest.mark.parametrize(
    "text",
    [
        "server:\n  port: 99999", "server:\n  port: yes", "server:\n  port: [1]", "server: 3", "- a", "server:\n  port: 1\n  port: 2",
        "a: [", "server:\n  host: ''", "analyzer:\n  kind: mecab", "chunks:\n  size: 100\n  overlap: 100", "server:\n  port: 8.5",
        "answer:\n  min_support: .nan", "answer:\n  min_support: .inf", b"\xff\xfe\xfa", "server:\n  port: !!python/object:os.system x",
        "{" * 5000, "x" * (1 << 20) + "x",
    ],
)  # fmt: skip
def test_a_wrong_file_is_a_configuration_error(tmp_path: Path, text: str | bytes) -> None:
    assert problems(tmp_path, text)


def test_the_environment_wins_over_dotenv_and_dotenv_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RAGTRACE_SERVER_PORT=1001\nRAGTRACE_SERVER_HOST=::1\nOTHER=1\n")
    settings = load(tmp_path, "server:\n  port: 1000\n", RAGTRACE_SERVER_PORT="1002", RAGTRACE_CACHE_DIR="x")
    assert (settings.server.port, settings.server.host) == (1002, "::1")


def test_a_misspelt_variable_is_an_error(tmp_path: Path) -> None:
    assert "RAGTRACE_SERVER_PORT" in problems(tmp_path, "", RAGTRACE_SERVER_PROT="1")
    assert "RAGTRACE_SERVER_PORT" in problems(tmp_path, "", RAGTRACE_SEVER_PORT="1")


def test_relative_paths_start_at_the_home(tmp_path: Path) -> None:
    assert load(tmp_path, "data:\n  folder: d").data_folder == tmp_path / "d"
    assert load(tmp_path, "data:\n  folder: /srv/d").data_folder == Path("/srv/d")


def test_the_home_is_found_from_the_installation_also_through_its_link(tmp_path: Path) -> None:
    venv = tmp_path / "generations" / "000001-a" / "venv"
    venv.mkdir(parents=True)
    (tmp_path / "current.json").write_text("{}")
    (tmp_path / "current").symlink_to(venv.parent)
    place = find_place(None, {}, tmp_path / "current" / "venv")
    assert (place.home, place.file) == (tmp_path, tmp_path / "config" / "ragtrace.yaml")
    with pytest.raises(ConfigProblem):
        find_place(None, {}, Path("/usr"))


@given(st.binary(max_size=300))
def test_no_file_content_ends_in_another_error(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            load(Path(folder), data)
        except ConfigProblem as problem:
            assert problem.render("ko")
