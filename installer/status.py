"""`--status` and `--verify-only`: look, tell, change nothing - not even the lock is taken."""

from __future__ import annotations

import os
from typing import Any, Optional

from bundle.errors import IntegrityError
from bundle.text import Text

from . import (
    activation,
    advisory_store,
    dataformat,
    inventory,
    journal,
    receipt,
    removal,
    sealed,
    snapshot,
    trust_store,
)
from .console import Console
from .health import probe
from .paths import Prefix
from .service import define, manifest_of
from .snapshot import Snapshot
from .state import read_state


def status(prefix: Prefix) -> dict[str, Any]:
    """Return what is installed and what runs, for ``--json`` and for `describe`."""
    state = read_state(prefix)
    document: dict[str, Any] = {
        "ok": True,
        "prefix": str(prefix.root),
        "installed": state.pointer is not None,
        "pointer_damaged": state.pointer_damaged,
        "unfinished": _unfinished(prefix),
        "kept": list(state.pointer.previous) if state.pointer else [],
        "undeclared": inventory.undeclared(prefix) if os.access(prefix.root, os.R_OK) else [],
    }
    document["uninstalling"] = removal.read_marker(prefix) is not None
    document["left"] = removal.left_behind(prefix) if state.pointer is None else []
    pointer = state.pointer
    if pointer is None:
        return document
    document["data_format"] = _data_format(prefix)
    document["snapshots"] = [one.name for one in snapshots_of(prefix)]
    document["revoked"] = [
        {"release": name, "key": key.fingerprint, "since": key.since, "reason": key.reason}
        for name, key in trust_store.revoked_releases(prefix)
    ]
    document.update(
        generation=pointer.generation,
        sequence=pointer.sequence,
        manifest=pointer.manifest,
        complete=pointer.generation in state.complete,
        accepted=state.accepted.includes(pointer.generation),
    )
    if pointer.generation in state.complete:
        manifest = manifest_of(prefix, pointer.generation)
        document.update(version=manifest.version, profile=manifest.profile)
        released = manifest.advisories.date if manifest.advisories is not None else ""
        document["advisories"] = advisory_store.described(prefix, released)
    document["service"] = _service(prefix, pointer.generation) if document["complete"] else None
    return document


def snapshots_of(prefix: Prefix) -> list[Snapshot]:
    """Return the snapshots of the data; none where this user may not look."""
    try:
        return snapshot.kept(prefix)
    except OSError:
        return []


def _data_format(prefix: Prefix) -> Optional[int]:
    try:
        return dataformat.read(prefix).version
    except OSError:
        return None


def _unfinished(prefix: Prefix) -> str:
    try:
        begun = journal.unfinished(prefix.journal)
    except OSError:
        return ""
    return str(begun.get("operation", "?")) if begun is not None else ""


def _service(prefix: Prefix, generation: str) -> Optional[dict[str, Any]]:
    settings = read_state(prefix).service
    definition = define(prefix, generation, settings)
    if settings is None or definition is None:
        return None
    found = activation.host_for(settings).status(definition)
    problem = probe(definition)
    return {
        "manager": settings.manager,
        "name": settings.name,
        "address": address(settings.host, settings.port),
        "enabled": settings.enabled,
        "running": found.running,
        "pid": found.pid,
        "generation": found.generation,
        "healthy": problem is None,
        "problem": None if problem is None else {"ko": problem.ko, "en": problem.en},
    }


def address(host: str, port: int) -> str:
    """Return the service's address as a URL."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def describe(document: dict[str, Any]) -> Text:
    """Return `status` as lines for a person."""
    if not document["installed"]:
        if document["pointer_damaged"]:
            return Text(
                "current.json이 손상되었습니다: install.py를 다시 실행하면 복구합니다",
                "current.json is damaged: running install.py again repairs it",
            )
        ko = [f"설치된 것이 없습니다: {document['prefix']}"]
        en = [f"nothing is installed: {document['prefix']}"]
        if document["uninstalling"]:
            ko.append("제거가 끝나지 않았습니다: --uninstall을 다시 실행하면 마칩니다")
            en.append("an uninstall has not ended: run --uninstall again to finish it")
        if document["left"]:
            ko.append(f"남아 있는 것: {', '.join(document['left'])}")
            en.append(f"left behind: {', '.join(document['left'])}")
        return Text("\n".join(ko), "\n".join(en))
    rows = [
        (Text("위치", "where"), document["prefix"]),
        (Text("릴리스", "release"), f"{document.get('version', '?')} ({document['generation']})"),
        (Text("보관 중", "kept"), ", ".join(document["kept"]) or "-"),
    ]
    ko = [f"{label.ko}: {value}" for label, value in rows]
    en = [f"{label.en}: {value}" for label, value in rows]
    service = document.get("service")
    if service:
        state = Text("정상", "healthy") if service["healthy"] else Text(**service["problem"])
        where = f"{service['address']} ({service['manager']}, pid {service['pid'] or '-'})"
        ko.append(f"서비스: {where}: {state.ko}")
        en.append(f"service: {where}: {state.en}")
    if document.get("data_format") is not None:
        kept = ", ".join(document["snapshots"]) or "-"
        ko.append(f"데이터: 형식 {document['data_format']}, 스냅숏: {kept}")
        en.append(f"data: format {document['data_format']}, snapshots: {kept}")
    known = document.get("advisories")
    if known:
        shown = _advisories(known)
        ko.append(f"취약점 스냅숏: {shown.ko}")
        en.append(f"advisory snapshot: {shown.en}")
    for item in document.get("revoked", []):
        ko.append(
            f"주의: {item['release']}에 서명한 키가 폐기되었습니다: {item['key']} ({item['since']}, {item['reason']})"
        )
        en.append(
            f"warning: a key that signed {item['release']} is revoked: {item['key']} ({item['since']}, {item['reason']})"
        )
    for key, text in _COMPLAINTS.items():
        if document.get(key):
            ko.append(f"{text.ko}: {document[key]}")
            en.append(f"{text.en}: {document[key]}")
    return Text("\n".join(ko), "\n".join(en))


def _advisories(known: dict[str, Any]) -> Text:
    released = known["released"] or "-"
    if known["problem"] is not None:
        problem = Text(**known["problem"])
        return Text(
            f"릴리스의 것 {released}; 새로 반입한 것은 믿을 수 없습니다: {problem.ko}",
            f"{released}, of the release; the renewed one is not believed: {problem.en}",
        )
    if known["renewed"] is None and known["released"] is None:
        return Text("없음 (아무에게도 묻지 않았습니다)", "none (nobody was asked)")
    if known["renewed"] is None:
        return Text(f"{released} (릴리스의 것)", f"{released} (of the release)")
    return Text(
        f"{known['renewed']} (새로 반입; 릴리스의 것 {released})",
        f"{known['renewed']} (renewed; of the release: {released})",
    )


_COMPLAINTS = {
    "unfinished": Text(
        "끝나지 않은 작업 (다시 실행하면 복구)", "unfinished operation (run again to recover)"
    ),
    "undeclared": Text("설치기가 만들지 않은 파일", "files that the installer did not make"),
}


def verify_installed(prefix: Prefix, console: Console) -> dict[str, Any]:
    """Compare every kept release with its receipt, byte for byte.

    Raises:
        IntegrityError: with every difference.
    """
    state = read_state(prefix)
    problems: list[str] = []
    names = [name for name in (state.pointer.kept if state.pointer else ()) if name in state.complete]
    for name in names:
        console.note(Text(f"{name} 확인", f"checking {name}"))
        folder = prefix.generation(name)
        try:
            problems += [f"{name}: {line}" for line in receipt.differences(folder, receipt.read(folder))]
        except (OSError, sealed.Damaged) as error:
            problems.append(f"{name}: {error}")
    if problems or not names:
        raise IntegrityError(
            Text(
                f"설치된 파일이 온전하지 않습니다: {len(problems)}건",
                f"the installation is not intact: {len(problems)} finding(s)",
            ),
            where=str(prefix.root),
            details=[Text(line, line) for line in problems[:20]],
            hint=Text(
                "install.py --repair가 손상된 것을 다시 만듭니다 (또는 --rollback)",
                "install.py --repair makes what is damaged again (or --rollback)",
            ),
        )
    return {"ok": True, "prefix": str(prefix.root), "verified": names}
