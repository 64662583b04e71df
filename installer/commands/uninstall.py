"""`--uninstall [--purge-data]`."""

from __future__ import annotations

import argparse
from typing import Any, List, Optional, Sequence

from bundle.text import Text, human_size

from .. import estimate, removal, settings
from ..console import Console
from ..operations.uninstall import STEPS, require_something, uninstall
from ..paths import Prefix
from ..removal import Item, Removal
from ..settings import ServiceSettings

# The report names so many foreign files; the document names all.
SHOWN = 20


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    if options.dry_run:
        require_something(prefix, options.purge_data)
        planned = removal.survey(prefix, options.purge_data)
        _report("plan", planned, settings.read(prefix), options.purge_data, prefix, console)
        return 0
    done = uninstall(prefix, options.purge_data, console)
    _report("uninstall", done.removal, done.service, done.purged, prefix, console, done.seconds)
    return 0


def _report(
    action: str,
    what: Removal,
    service: Optional[ServiceSettings],
    purge: bool,
    prefix: Prefix,
    console: Console,
    seconds: float = 0.0,
) -> None:
    """Say what went (or would go), what stays and where, and what is not ours."""
    user = service.user if service is not None else ""
    planned = action == "plan"
    times = [0.1, 2.0 if service is not None else 0.1, 0.1, estimate.removal(what.files)]
    document = {
        "ok": True, "action": action, "prefix": str(prefix.root), "purge": purge, "bytes": what.bytes,
        "removed": [_item(item) for item in what.going], "kept": [_item(item) for item in what.staying],
        "foreign": list(what.foreign), "user": user or None,
        "seconds": round(sum(times) if planned else seconds, 3),
        "service": None if service is None else {"manager": service.manager, "name": service.name},
        "steps": [
            {"name": step.name, "title": step.title.to(console.lang), "seconds": round(time, 1)}
            for step, time in zip(STEPS, times)
        ] if planned else [],
    }  # fmt: skip
    total = estimate.about(sum(times)) if planned else Text(f"{seconds:.1f}초", f"{seconds:.1f} s")
    shown = {
        lang: "\n".join(_lines(lang, action, what, service, prefix, total.to(lang))) for lang in ("ko", "en")
    }
    console.report(Text(**shown), document)


def _item(item: Item) -> dict[str, Any]:
    return {"path": item.path, "what": item.what.en, "bytes": item.bytes}


def _lines(
    lang: str, action: str, what: Removal, service: Optional[ServiceSettings], prefix: Prefix, time: str
) -> List[str]:
    def say(ko: str, en: str) -> str:
        return Text(ko, en).to(lang)

    size = human_size(what.bytes)
    root = str(prefix.root)
    lines = [
        say(f"제거할 것 ({size}, {time}): {root}", f"would be removed ({size}, {time}): {root}")
        if action == "plan"
        else say(f"제거했습니다 ({size}, {time}): {root}", f"removed ({size}, {time}): {root}")
    ]
    if service is not None and service.manager != "none":
        name = f"{service.name} ({service.manager})"
        lines.append(say(f"  서비스와 등록: {name}", f"  the service and its registration: {name}"))
    lines += _items(what.going, lang)
    if what.staying:
        lines.append(say("남는 것:", "stays:"))
        lines += _items(what.staying, lang, root + "/")
    if service is not None and service.user:
        lines.append(
            say(
                f"  시스템 사용자 {service.user}: 남은 파일의 소유자이므로 지우지 않습니다",
                f"  the system user {service.user}: it may own files, so it is not removed",
            )
        )
    if what.foreign:
        count = len(what.foreign)
        lines.append(
            say(
                f"설치기가 만들지 않아 폴더와 함께 남기는 파일 {count}개 (지워지는 릴리스 안의 것은 폴더 이름에 .foreign이 붙습니다):",
                f"{count} foreign: not made by the installer, kept with their folders (a release's folder gets the ending .foreign):",
            )
        )
        lines += [f"  {path}" for path in what.foreign[:SHOWN]]
        if count > SHOWN:
            lines.append(
                say(f"  … 그 밖에 {count - SHOWN}개 (--json)", f"  … and {count - SHOWN} more (--json)")
            )
    return lines


def _items(items: Sequence[Item], lang: str, before: str = "") -> List[str]:
    return [f"  {before}{item.path}: {item.what.to(lang)}, {human_size(item.bytes)}" for item in items]
