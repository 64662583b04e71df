"""Which checks a run takes: the validator's own and those of plugins, by category and id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Optional, Sequence, Tuple

from bundle.errors import UsageProblem
from bundle.text import Text
from validator.model import OWN_PREFIXES, Category, Check
from validator.registry import load, select
from validator.subject import Subject


@dataclass(frozen=True)
class Wanted:
    """What was asked for; nothing named means everything."""

    categories: Tuple[str, ...] = ()
    only: Tuple[str, ...] = ()
    skip: Tuple[str, ...] = ()
    plugins: bool = True
    plugin_folders: Tuple[Path, ...] = ()

    @property
    def own_only(self) -> bool:
        """Tell whether the named ids are the validator's own, so that no plugin has to be started."""
        ids = [name.upper() for name in self.only]
        return bool(ids) and all(name.partition("-")[0] in OWN_PREFIXES for name in ids)


@dataclass(frozen=True)
class Selection:
    """The checks of a run, all ids there are, and whether those of plugins are among them."""

    checks: Tuple[Check, ...]
    known: Tuple[str, ...]
    plugins_known: bool


def choose(subject: Subject, wanted: Wanted) -> Selection:
    """Return the checks to run.

    Raises:
        UsageProblem: a category, id or folder that does not exist.
    """
    _check_categories(wanted.categories)
    for folder in wanted.plugin_folders:
        if not folder.is_dir():
            raise usage(Text(f"플러그인 폴더가 없습니다: {folder}", f"no such folder of plugins: {folder}"))
    checks = load()
    look = wanted.plugins and not wanted.own_only
    if look:
        from validator.plugins import loading

        checks += loading.find(subject, wanted.plugin_folders).checks
    known = tuple(item.id for item in checks)
    _check_ids(wanted, known, look)
    left_out = {name.upper() for name in wanted.skip}
    chosen = select(checks, wanted.categories, wanted.only)
    return Selection(tuple(item for item in chosen if item.id not in left_out), known, look)


def usage(summary: Text, hint: Optional[Text] = None) -> UsageProblem:
    """Return a usage error of the validator: it has checked nothing yet."""
    return UsageProblem(summary, state=Text("검사하지 않았습니다", "nothing was checked"), hint=hint)


def _check_categories(names: Iterable[str]) -> None:
    known = {category.value.lower() for category in Category}
    for name in names:
        if name.lower() not in known:
            listed = ", ".join(category.value for category in Category)
            raise usage(Text(f"모르는 범주 {name!a}: {listed}", f"unknown category {name!a}: {listed}"))


def _check_ids(wanted: Wanted, known: Sequence[str], looked: bool) -> None:
    for name in (*wanted.only, *wanted.skip):
        # Left out without having been looked for: there is nothing to be wrong about.
        if name.upper() in known or (name in wanted.skip and not looked and not _is_own(name)):
            continue
        import difflib

        near = difflib.get_close_matches(name.upper(), known, 1)
        also_ko, also_en = (f" ({near[0]}?)", f" (did you mean {near[0]}?)") if near else ("", "")
        raise usage(
            Text(f"모르는 검사 {name!a}{also_ko}", f"unknown check {name!a}{also_en}"),
            Text("--list로 검사 목록을 보십시오", "see --list"),
        )


def _is_own(name: str) -> bool:
    return name.upper().partition("-")[0] in OWN_PREFIXES
