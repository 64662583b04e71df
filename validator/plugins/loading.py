"""Find every plugin, let each list its checks in a child, and keep what cannot be a check as an ``error`` of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple, Union

from bundle.text import Text
from validator import limits
from validator.child import Child, Ended
from validator.engine import START_PROBLEMS
from validator.model import PLUGIN_LOADING, Category, Check, Outcome, Severity, Status
from validator.plugins import entries, folders, protocol
from validator.plugins.entries import Unfit
from validator.plugins.source import Source
from validator.subject import Subject


class Plugin(NamedTuple):
    """One plugin and the checks that count; a plugin without checks has said why in ``problems``."""

    source: Source
    checks: Tuple[Check, ...]


class Found(NamedTuple):
    """Every plugin with its checks, and a settled check (``PLUG-001`` …) for each thing that is wrong."""

    plugins: Tuple[Plugin, ...] = ()
    problems: Tuple[Check, ...] = ()

    @property
    def checks(self) -> Tuple[Check, ...]:
        """Return the plugins' checks, then what is wrong."""
        return tuple(check for plugin in self.plugins for check in plugin.checks) + self.problems


def find(subject: Subject, more: Sequence[Path] = ()) -> Found:
    """Return the plugins of the service's environment, of ``<prefix>/config/checks`` and of the folders *more*."""
    unfit: List[Unfit] = []
    sources = _entries(subject, unfit)
    for folder in dict.fromkeys([subject.prefix / folders.FOLDER, *more]):
        sources += folders.find(folder, subject, unfit)
    if not sources:
        return Found((), tuple(_settled(number, item) for number, item in enumerate(unfit, start=1)))
    cleaner = protocol.Cleaner.of(subject)
    answers = _listings(sources, subject)
    taken: Dict[str, str] = {}
    plugins = tuple(
        Plugin(source, _checks(source, answer, cleaner, taken, unfit))
        for source, answer in zip(sources, answers)
    )
    return Found(plugins, tuple(_settled(number, item) for number, item in enumerate(unfit, start=1)))


def _entries(subject: Subject, unfit: List[Unfit]) -> List[Source]:
    try:
        found = entries.find(subject, unfit)
    except PermissionError as error:
        place = str(error.filename or subject.prefix)
        what = Text("설치된 패키지를 볼 권한이 없습니다", "not permitted to look at the installed packages")
        unfit.append(Unfit(place, what, hidden=True))
        return []
    return found[: limits.PLUGINS]


def _listings(sources: Sequence[Source], subject: Subject) -> List[Union[List[object], Text]]:
    """Ask every plugin for its checks; an interruption leaves no child behind."""
    children: List[Child] = []
    pool = ThreadPoolExecutor(max_workers=limits.PARALLEL_CHILDREN)
    try:
        return list(pool.map(lambda source: _listing(source, subject, children), sources))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in list(children):
            child.close()
        pool.shutdown()


def _listing(source: Source, subject: Subject, children: List[Child]) -> Union[List[object], Text]:
    """Return what a plugin lists, or why it does not."""
    try:
        child = source.start(subject)
    except START_PROBLEMS as error:
        return Text(f"시작할 수 없습니다: {error}", f"it cannot be started: {error}")
    children.append(child)
    try:
        answer = child.result_of("list", limits.PLUGIN_LISTING_S)
    finally:
        child.close()
    if isinstance(answer, Ended):
        return _ending(answer)
    if "problem" in answer:
        return Text(f"불러오지 못했습니다: {answer['problem']}", f"it cannot be loaded: {answer['problem']}")
    listed = answer.get("listed")
    return listed if isinstance(listed, list) else Text("검사 목록이 없습니다", "it gave no list of checks")


def _ending(ended: Ended) -> Text:
    if ended.reason == "timeout":
        return Text("제한 시간 안에 불러오지 못했습니다", "it did not load within its time limit")
    if ended.reason == "output":
        return Text("불러오는 중 출력이 한도를 넘었습니다", "it printed more than its limit while loading")
    tail = f": {ended.last_output}" if ended.last_output else ""
    return Text(
        f"불러오는 중 프로세스가 끝났습니다 (코드 {ended.code}){tail}",
        f"its process ended while loading (code {ended.code}){tail}",
    )


def _checks(
    source: Source,
    answer: Union[List[object], Text],
    cleaner: protocol.Cleaner,
    taken: Dict[str, str],
    unfit: List[Unfit],
) -> Tuple[Check, ...]:
    """Return the checks of one plugin that may count; each other one goes to *unfit* by itself."""
    if isinstance(answer, Text):
        unfit.append(Unfit(source.name, Text(cleaner.line(answer.ko), cleaner.line(answer.en))))
        return ()
    if not answer:
        unfit.append(Unfit(source.name, Text("검사가 하나도 없습니다", "it lists no checks")))
    if len(answer) > limits.PLUGIN_CHECKS:
        most = limits.PLUGIN_CHECKS
        unfit.append(
            Unfit(source.name, Text(f"검사가 {most}개보다 많습니다", f"it lists more than {most} checks"))
        )
    good: List[Check] = []
    for listed in answer[: limits.PLUGIN_CHECKS]:
        try:
            check = protocol.read_check(listed, source, cleaner)
        except protocol.Nonsense as problem:
            unfit.append(Unfit(source.name, problem.text))
            continue
        if check.id in taken:
            other = taken[check.id]
            what = Text(f"{check.id}은 {other}에 이미 있습니다", f"{check.id} is already in {other}")
            unfit.append(Unfit(source.name, what))
            continue
        taken[check.id] = source.name
        good.append(check)
    return tuple(good)


def _settled(number: int, item: Unfit) -> Check:
    """Return a check that says what is wrong with a plugin; it has its result already."""
    name = protocol.Cleaner().line(item.name, limits.PLUGIN_TITLE)
    outcome = protocol.error(Text(f"{name}: {item.why.ko}", f"{name}: {item.why.en}"))
    if item.hidden:
        outcome = Outcome(Status.UNKNOWN, outcome.details)
    return Check(
        f"{PLUGIN_LOADING}-{number:03d}",
        Category.TOOLS,
        Text("플러그인 불러오기", "Loading a plugin"),
        Severity.MEDIUM,
        protocol.never_here,
        plugin=Source("", item.name),
        settled=outcome,
    )
