"""The parts of the journey that need no host: copies of the project, the reading of answers, the story."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bundle.text import Text

from .control_group import ControlGroup
from .defects import DEFECTS, flip_bit
from .documents import Page, Question
from .host_root import remove_tree
from .releases import REPOSITORY, break_health, copy_project, next_versions, project_version
from .service_view import Answer, Source, parse_events, wrong_sources
from .story import SHOWN_LINES, Story
from .tools import Completed, HarnessError, explain_missing, run_here

QUESTION = Question("각주는 어떻게 넣습니까?", "writer/footnote.html", "각주")
PAGES = {
    "writer/footnote.html": Page("writer/footnote.html", "각주", "각주를 넣으려면 삽입을 고릅니다."),
    "calc/sum.html": Page("calc/sum.html", "합계", "각주가 아니라 합계를 구합니다."),
}


def answer(*sources: str, text: str = "각주를 넣으려면 삽입을 고릅니다. [1]") -> Answer:
    return Answer(200, text, tuple(Source("제목", source, "c1") for source in sources), "", 0.1)


def test_a_copy_differs_from_the_project_in_its_version_only(tmp_path: Path) -> None:
    service = copy_project(tmp_path / "copy", "9.1.0")
    assert project_version(tmp_path / "copy") == "9.1.0"
    changed = [
        path.relative_to(service).as_posix()
        for path in sorted(service.rglob("*"))
        if path.is_file()
        and path.read_bytes() != (REPOSITORY / "service" / path.relative_to(service)).read_bytes()
    ]
    assert changed == ["pyproject.toml", "src/ragtrace/__init__.py"]
    lock = (tmp_path / "copy/uv.lock").read_text(encoding="utf-8")
    assert 'name = "ragtrace"\nversion = "9.1.0"' in lock


def test_the_broken_copy_is_really_changed(tmp_path: Path) -> None:
    service = copy_project(tmp_path / "copy", "9.1.0")
    before = {path: path.read_bytes() for path in service.rglob("*.py")}
    break_health(service)
    assert [path.name for path, data in before.items() if path.read_bytes() != data] != []


def test_later_versions_are_higher_and_differ() -> None:
    assert next_versions("0.1.0") == ("0.2.0", "0.3.0")
    assert next_versions("1.9.7") == ("1.10.0", "1.11.0")


def test_events_are_read_as_the_standard_says() -> None:
    stream = 'event: reference\r\ndata: {"a":\r\ndata: 1}\r\n\r\n: comment\n\ndata: plain\n\nevent: end\n\n'
    assert parse_events(stream) == [("reference", '{"a":\n1}'), ("message", "plain")]


def test_sources_that_hold_the_term_are_accepted() -> None:
    assert wrong_sources(answer("각주를  넣으려면 삽입을 고릅니다."), QUESTION, PAGES) == []


def test_an_answer_without_sources_is_a_problem() -> None:
    assert "no source at all" in wrong_sources(answer(), QUESTION, PAGES)[0]


def test_a_source_that_is_in_no_document_is_a_problem() -> None:
    problems = wrong_sources(answer("각주를 넣으려면 삽입을 고릅니다.", "지어낸 각주"), QUESTION, PAGES)
    assert len(problems) == 1 and "in no document" in problems[0]


def test_a_source_from_another_page_alone_is_a_problem() -> None:
    problems = wrong_sources(answer("각주가 아니라 합계를 구합니다."), QUESTION, PAGES)
    assert len(problems) == 1 and "no source from writer/footnote.html" in problems[0]


def test_an_answer_that_avoids_the_subject_is_a_problem() -> None:
    problems = wrong_sources(answer("각주를 넣으려면 삽입을 고릅니다.", text="모릅니다"), QUESTION, PAGES)
    assert len(problems) == 1 and "the answer does not contain" in problems[0]


def test_one_flipped_bit_keeps_size_and_time_and_is_undone_by_another(tmp_path: Path) -> None:
    path = tmp_path / "wheel"
    path.write_bytes(bytes(range(101)))
    before = path.stat()
    flip_bit(path)
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert sum(a != b for a, b in zip(path.read_bytes(), range(101))) == 1
    flip_bit(path)
    assert path.read_bytes() == bytes(range(101))


@pytest.mark.parametrize("name", DEFECTS)
def test_every_defect_changes_the_bundle_and_is_undone(name: str, tmp_path: Path) -> None:
    for file in (
        "02_Dependencies/wheels/a.whl",
        "MANIFEST.json",
        "MANIFEST.json.sig",
        "04_Scripts/installer/x.py",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("content of " + file)
    before = content(tmp_path)
    with DEFECTS[name](tmp_path):
        assert content(tmp_path) != before
    assert content(tmp_path) == before


def content(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_long_output_is_told_by_its_beginning_and_its_end() -> None:
    stream = io.StringIO()
    Story("en", stream).show([f"line {number}" for number in range(100)])
    told = stream.getvalue().splitlines()
    assert len(told) == SHOWN_LINES + 1
    assert "line 0" in told[0] and "line 99" in told[-1] and "(86)" in told[SHOWN_LINES // 2]


@pytest.mark.parametrize(("lang", "title"), [("ko", "설치"), ("en", "Install")])
def test_a_step_is_told_in_the_language_asked_for(lang: str, title: str) -> None:
    stream = io.StringIO()
    story = Story(lang, stream)
    with story.step(Text("설치", "Install")):
        story.ran(Completed(("install", "--now"), 3, "said\n", "complained\n", 1.25))
    told = stream.getvalue()
    assert f"[1] {title}" in told
    assert "$ install --now" in told and "| said" in told and "| complained" in told and "exit 3" in told


def test_a_step_that_fails_says_where_the_story_stopped() -> None:
    stream = io.StringIO()
    with pytest.raises(HarnessError), Story("en", stream).step(Text("설치", "Install")):
        raise HarnessError("no")
    assert "stopped here: HarnessError" in stream.getvalue()


def test_an_unexpected_exit_code_raises_with_what_was_said() -> None:
    done = run_here(["sh", "-c", "echo why >&2; exit 3"])
    assert done.expect(3) is done
    with pytest.raises(HarnessError, match="why"):
        done.expect()


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(HarnessError, match="still running after 1 s"):
        run_here(["sh", "-c", "sleep 60 & wait"], timeout=1)


def test_what_is_missing_is_said_with_the_command_that_provides_it() -> None:
    said = explain_missing(["not root", "bpftrace is not installed"])
    assert "not root; bpftrace is not installed" in said and "sudo sh tests/isolated/prepare.sh" in said


def test_a_control_group_is_made_in_every_tree_and_removed_with_what_systemd_made_in_it(
    tmp_path: Path,
) -> None:
    for tree in ("systemd", "unified"):
        (tmp_path / tree).mkdir()
    group = ControlGroup("ragtrace-test", tmp_path)
    group.create()
    assert [folder.parent.name for folder in group.folders] == ["systemd", "unified"]
    (tmp_path / "systemd/ragtrace-test/payload/init.scope").mkdir(parents=True)
    group.remove()
    assert [list(tree.iterdir()) for tree in sorted(tmp_path.iterdir())] == [[], []]


def test_removing_a_tree_never_follows_a_link_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/link").symlink_to(tmp_path / "kept")
    remove_tree(tmp_path / "gone")
    assert (tmp_path / "kept").is_dir() and not (tmp_path / "gone").exists()
