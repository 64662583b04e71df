"""`recovery_assistant.py --support-bundle FILE [--preview]`: collect, take out, test, and only then write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from bundle.errors import RagTraceError, UsageProblem
from bundle.text import Text, human_size
from recovery import record
from recovery.support import archive, index, limits
from recovery.support.canary import Survivor, survivors
from recovery.support.identity import Names, names_of_this_host
from recovery.support.pipeline import Member, Pipeline
from recovery.support.sources import Collector, Gap
from validator import api
from validator import limits as sizes
from validator.console import Console
from validator.report import FORMAT
from validator.secrets import Tokens, known_values
from validator.secrets.known import unread
from validator.selection import Wanted
from validator.subject import Subject, Unreadable, read_json_object

DONE, REFUSED = 0, 3
NOTHING_WRITTEN = Text("아무것도 쓰지 않았습니다", "nothing was written")


class Prepared(NamedTuple):
    """A finished bundle that has not been written: its bytes, its members, and what it lacks."""

    data: bytes
    members: Tuple[Member, ...]
    gaps: Tuple[Gap, ...]
    survivors: Tuple[Survivor, ...]


def run(
    subject: Subject, target: Path, preview: bool, lang: str, out: Console, report: Optional[Path] = None
) -> int:
    """Make the support bundle of an installation, or show what would be in it.

    Args:
        subject: the installation.
        target: the file to write; nothing may be there.
        preview: show every member and what was removed from it, and write nothing.
        lang: language of what is said here; the bundle itself has both.
        out: where it is said.
        report: a validator's report to include; without one the checks are run now.

    Returns:
        0 written, or previewed; 3 the self-test found something that would have come through, or the file could not
        be written. Nothing is written then.

    Raises:
        UsageProblem: the file may not be written there, or the report is none.
    """
    if not preview:
        check_target(target, subject.prefix)
    out.line(Text("자료를 모으는 중", "collecting").to(lang))
    prepared = prepare(subject, names_of_this_host(), read_report(report) if report else checked(subject))
    for line in index.lines(prepared.members, prepared.gaps, lang):
        out.line(line)
    if prepared.survivors:
        return _refused(prepared.survivors, lang, out)
    if preview:
        size = human_size(len(prepared.data))
        out.line(
            Text(f"미리 보기: {size}. {NOTHING_WRITTEN.ko}", f"preview: {size}. {NOTHING_WRITTEN.en}").to(
                lang
            )
        )
        return DONE
    try:
        archive.write(target, prepared.data)
    except OSError as error:
        what = error.strerror or type(error).__name__
        out.line(Text(f"쓸 수 없습니다: {target}: {what}", f"cannot write {target}: {what}").to(lang))
        return REFUSED
    _audited(subject, lang, out)
    size = human_size(len(prepared.data))
    told = Text(
        f"썼습니다: {target} ({size}). 보내기 전에 풀어서 INDEX.txt부터 읽어 보십시오.",
        f"written: {target} ({size}). Before you send it, unpack it and begin with INDEX.txt.",
    )
    out.line(told.to(lang))
    return DONE


def prepare(
    subject: Subject,
    names: Names,
    report: Optional[Dict[str, Any]],
    most: int = limits.BUNDLE_BYTES,
) -> Prepared:
    """Return the bundle as it would be written, with everything that the self-test found in it."""
    known = known_values(subject.prefix)
    collected = Collector(subject).collect(report)
    pipeline = Pipeline(subject.prefix, known, names, Tokens())
    members = [pipeline.member(source) for source in collected.sources]
    members = archive.fitted(sorted(members, key=lambda member: member.name), most)
    gaps = [
        *_hidden_settings(subject.prefix),
        *(Gap(pipeline.clean(gap.name), gap.reason) for gap in collected.gaps),
    ]
    whole = [index.index(members, gaps), *members]
    data = archive.pack(whole)
    found = survivors(collected.sources, known, names, subject.prefix) + archive.leaks(data, known)
    return Prepared(data, tuple(members), tuple(gaps), tuple(found))


def checked(subject: Subject) -> Optional[Dict[str, Any]]:
    """Run the checks now; in English, so that Korean words in a report are people's and not ours."""
    try:
        return api.run(Subject.from_wire(subject.to_wire()), Wanted(), "en").to_dict()
    except RagTraceError:
        return None


def read_report(path: Path) -> Dict[str, Any]:
    """Return a report that a person gave; only listed fields of it will be used.

    Raises:
        UsageProblem: it cannot be read or is no report.
    """
    try:
        document = read_json_object(path, sizes.REPORT_BYTES)
    except Unreadable as error:
        raise _usage(
            Text(f"보고서를 읽을 수 없습니다: {path}", f"the report cannot be read: {path}")
        ) from error
    if document.get("format") != FORMAT or not isinstance(document.get("validation_results"), list):
        raise _usage(Text(f"검증 보고서가 아닙니다: {path}", f"not a validator's report: {path}"))
    return document


def check_target(target: Path, prefix: Path) -> None:
    """Refuse a place where the bundle may not be written.

    Raises:
        UsageProblem: something is there, the folder is missing or reached through a link, or it is the installation's.
    """
    folder = target.parent
    if os.path.lexists(target):
        raise _usage(Text(f"이미 있습니다: {target}", f"it exists already: {target}"))
    if not folder.is_dir():
        raise _usage(Text(f"폴더가 없습니다: {folder}", f"there is no such folder: {folder}"))
    real = os.path.realpath(folder)
    if os.path.normcase(real) != os.path.normcase(os.path.abspath(folder)):
        raise _usage(
            Text(
                f"링크를 거치는 경로입니다. 실제 위치를 쓰십시오: {real}",
                f"the path goes through a link; name the real place: {real}",
            )
        )
    home = os.path.realpath(prefix)
    if real == home or real.startswith(home.rstrip(os.sep) + os.sep):
        raise _usage(
            Text(
                f"설치 위치 안에는 쓰지 않습니다: {prefix}",
                f"nothing is written inside the installation: {prefix}",
            )
        )


def _usage(summary: Text) -> UsageProblem:
    return UsageProblem(
        summary,
        state=NOTHING_WRITTEN,
        hint=Text("--support-bundle에 새 파일 이름을 지정하십시오", "name a new file with --support-bundle"),
    )


def _hidden_settings(prefix: Path) -> List[Gap]:
    """Name configuration files whose secrets are not known: then only what looks like a secret is replaced."""
    reason = Text(
        "읽을 권한이 없어 비밀 값을 모릅니다. 비밀로 보이는 값만 바꾸었으니 보내기 전에 꼭 확인하십시오",
        "not permitted to read it, so its secrets are not known: only what looks like one was replaced. Look before you send",
    )
    return [Gap(name, reason) for name in unread(prefix)]


def _refused(found: Sequence[Survivor], lang: str, out: Console) -> int:
    told = Text(
        "자체 검사에서 비밀이 빠져나갈 수 있음을 발견했습니다. " + NOTHING_WRITTEN.ko,
        "the self-test found that a secret would come through; " + NOTHING_WRITTEN.en,
    )
    out.line(told.to(lang))
    for each in found:
        out.line(f"  {each.kind}: {each.member}")
    return REFUSED


def _audited(subject: Subject, lang: str, out: Console) -> None:
    try:
        record.record(subject.prefix, "support-bundle", "done", [])
    except OSError as error:
        what = error.strerror or type(error).__name__
        told = Text(f"감사 기록에 남기지 못했습니다: {what}", f"the audit log could not be written: {what}")
        out.line(told.to(lang))
