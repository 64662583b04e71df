"""Real Korean documents: help pages and a handbook from Debian packages, fetched once where there is a network."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .host_root import remove_tree
from .tools import HarnessError, cache_home, run_here

PACKAGES = ("libreoffice-help-ko", "debian-faq-ko")
HELP = "usr/share/libreoffice/help/ko/text"
CHOSEN = {
    "writer": f"{HELP}/swriter/guide",
    "calc": f"{HELP}/scalc/guide",
    "impress": f"{HELP}/simpress/guide",
    "shared": f"{HELP}/shared/guide",
    "debian": "usr/share/doc/debian/FAQ/ko",
}
ENOUGH_KOREAN = 100  # Hangul syllables; pages below it are stubs or not translated


@dataclass(frozen=True)
class Page:
    """One page: where it lies below the document folder, its title, its text without markup."""

    name: str
    title: str
    text: str

    @property
    def squeezed(self) -> str:
        """The text without any white space, for comparing what other tools made of it."""
        return squeeze(self.text)


@dataclass(frozen=True)
class Question:
    """What a person might ask, the page that answers it, and the word its sources must contain."""

    text: str
    page: str
    term: str


QUESTIONS = (
    Question("각주와 미주는 어떻게 삽입합니까?", "writer/footnote_usage.html", "각주"),
    Question("브로슈어를 인쇄하려면 어떻게 해야 합니까?", "writer/print_brochure.html", "브로슈어"),
    Question("목표값 찾기는 어떻게 사용합니까?", "calc/goalseek.html", "목표값"),
    Question("시나리오를 만들려면 어떻게 합니까?", "calc/scenario.html", "시나리오"),
    Question("동의어 사전은 어떻게 사용합니까?", "writer/using_thesaurus.html", "동의어"),
    Question("데비안 패키지란 무엇입니까?", "debian/pkg-basics.ko.html", "패키지"),
)


def squeeze(text: str) -> str:
    """Remove all white space."""
    return "".join(text.split())


def read_page(path: Path, name: str) -> Page:
    """Read title and text of an HTML page, crudely and independently of the product's own parser."""
    source = path.read_text(encoding="utf-8", errors="replace")
    title = re.search(r"<title>(.*?)</title>", source, re.DOTALL | re.IGNORECASE)
    body = re.sub(r"<(script|style|head)\b.*?</\1>", " ", source, flags=re.DOTALL | re.IGNORECASE)
    text = html.unescape(re.sub(r"<[^>]*>", "", body))
    return Page(name, html.unescape(title.group(1)).strip() if title else "", text)


def is_korean(page: Page) -> bool:
    """Whether a page is worth asking about in Korean."""
    return len(re.findall("[가-힣]", page.text)) >= ENOUGH_KOREAN


def select(root: Path) -> list[tuple[Path, Page]]:
    """Choose the Korean pages of the chosen folders, sorted, no two of one name."""
    chosen = []
    for short, folder in CHOSEN.items():
        for path in sorted((root / folder).glob("*.html")):
            page = read_page(path, f"{short}/{path.name}")
            if is_korean(page):
                chosen.append((path, page))
    return chosen


def gather(destination: Path) -> dict[str, Page]:
    """Fetch the packages, lay the chosen pages out below `destination`, and return them by name."""
    chosen = select(unpacked())
    if len(chosen) < 200:
        raise HarnessError(f"only {len(chosen)} Korean pages were found in {PACKAGES}")
    for path, page in chosen:
        target = destination / page.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    missing = missing_pages(page for _, page in chosen)
    if missing:
        raise HarnessError(f"the packages no longer contain {missing}")
    return {page.name: page for _, page in chosen}


def missing_pages(pages: Iterable[Page]) -> list[str]:
    """Name the pages that a question expects and that are not there, or no longer contain its term."""
    by_name = {page.name: page for page in pages}
    return [
        question.page
        for question in QUESTIONS
        if question.page not in by_name or question.term not in by_name[question.page].squeezed
    ]


def unpacked() -> Path:
    """Return the folder in the cache that holds the unpacked packages, fetching them the first time."""
    ready = cache_home() / "documents"
    if ready.is_dir():
        return ready
    building = ready.with_suffix(".building")
    remove_tree(building)
    downloads = building / "downloads"
    downloads.mkdir(parents=True)
    fetched = run_here(["apt-get", "download", *PACKAGES], cwd=downloads)
    if fetched.returncode != 0:
        run_here(["apt-get", "update"]).expect()
        run_here(["apt-get", "download", *PACKAGES], cwd=downloads).expect()
    for package in sorted(downloads.glob("*.deb")):
        run_here(["dpkg-deb", "-x", str(package), str(building)]).expect()
    building.rename(ready)
    return ready
