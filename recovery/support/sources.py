"""What is read from the host for a support bundle: the list of files, and nothing that is not on it.

Never read here: documents, questions and answers, databases, indexes, vectors, `trust/` but its record of accepted
releases, values of the configuration. Everything works on a half-finished installation and without privileges: what
cannot be read is a gap that the index names.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from bundle.text import Text
from recovery.support import fields, limits
from validator.checks.tools import unit_path
from validator.host import commands
from validator.subject import GENERATION_NAME, Subject, Unreadable, read_json_object, read_limited

_NO_FIELDS: fields.Allowed = {}


class Source(NamedTuple):
    """One member of the bundle as it was read: its name, how it is treated, and its text.

    `rule` is ``json``, ``lines`` (JSON lines), ``service-log``, ``own-log``, ``listing``, ``unit`` or ``settings``.
    """

    name: str
    rule: str
    text: str
    allowed: fields.Allowed = _NO_FIELDS
    is_log: bool = False


class Gap(NamedTuple):
    """Something that belongs into the bundle and could not be read."""

    name: str
    reason: Text


class Collected(NamedTuple):
    """Every source, and what is missing."""

    sources: Tuple[Source, ...]
    gaps: Tuple[Gap, ...]


# Files of the installer: where, the name in the bundle, and the fields that leave.
_STATE: Tuple[Tuple[str, str, fields.Allowed], ...] = (
    ("current.json", "install/current.json", fields.POINTER),
    ("trust/accepted.json", "install/accepted.json", fields.ACCEPTED),
    ("state/service.json", "install/service.json", fields.SERVICE),
    ("state/recovery.json", "install/recovery.json", fields.BREAKER),
    ("state/data.json", "install/data-change.json", fields.DATA_NOTE),
    ("data/FORMAT.json", "install/data-format.json", fields.DATA_FORMAT),
)
_LISTED = ("", "config", "state", "trust", "data/logs", "generations", "snapshots")
# Logs of the installer's own programs; every other one is the service's and may quote people.
_OWN_LOGS = ("validator-", "migrate-")


class Collector:
    """Reads the sources of one installation, one after the other."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._prefix = subject.prefix
        self._sources: List[Source] = []
        self._gaps: List[Gap] = []

    def collect(self, report: Optional[Dict[str, Any]]) -> Collected:
        """Read everything that may leave; *report* is the validator's, made a moment ago or given."""
        if report is not None:
            self._add("report/validator.json", "json", json.dumps(report), fields.REPORT)
        else:
            self._gap("report/validator.json", Text("검증 보고서가 없습니다", "there is no validator report"))
        for path, name, allowed in _STATE:
            self._file(path, name, "json", allowed)
        self._releases()
        self._settings()
        self._records()
        self._unit()
        self._resources()
        self._listing()
        self._logs()
        self._manager_journal()
        return Collected(tuple(self._sources), tuple(dict.fromkeys(self._gaps)))

    def _add(
        self, name: str, rule: str, text: str, allowed: fields.Allowed = _NO_FIELDS, is_log: bool = False
    ) -> None:
        self._sources.append(Source(name, rule, text, allowed, is_log))

    def _gap(self, name: str, reason: Text) -> None:
        self._gaps.append(Gap(name, reason))

    def _unreadable(self, name: str, error: Exception) -> None:
        cause = error.__cause__ if isinstance(error, Unreadable) else error
        if isinstance(cause, (FileNotFoundError, NotADirectoryError)):
            return
        if isinstance(cause, PermissionError):
            self._gap(name, Text("읽을 권한이 없습니다", "not permitted to read it"))
        else:
            self._gap(name, Text("손상되었거나 읽을 수 없습니다", "damaged, or cannot be read"))

    def _file(self, path: str, name: str, rule: str, allowed: fields.Allowed) -> None:
        try:
            text = read_limited(self._prefix / path).decode("utf-8", "replace")
        except Unreadable as error:
            self._unreadable(name, error)
            return
        self._add(name, rule, text, allowed)

    # --- releases ------------------------------------------------------------------------------------------

    def _releases(self) -> None:
        folder = self._prefix / "generations"
        try:
            names = sorted(name for name in os.listdir(folder) if GENERATION_NAME.match(name))
        except OSError as error:
            self._unreadable("install/receipts.json", error)
            names = []
        receipts = []
        for name in names:
            receipts.append(self._receipt(folder / name))
        if receipts:
            self._add(
                "install/receipts.json",
                "json",
                json.dumps({"receipts": receipts}),
                {"receipts": [fields.RECEIPT]},
            )
        path = self._subject.manifest_path
        if path is not None:
            self._manifest(path)
        if self._subject.generation is not None:
            self._differences(self._subject.generation)

    def _receipt(self, folder: Path) -> Dict[str, Any]:
        from validator import limits as sizes

        try:
            document = read_json_object(folder / "RECEIPT.json", sizes.MANIFEST_BYTES)
        except Unreadable as error:
            self._unreadable(f"install/receipts.json ({folder.name})", error)
            return {"generation": folder.name, "finished": False}
        entries = [entry for entry in _list(document.get("entries")) if isinstance(entry, dict)]
        totals = [entry.get("size") for entry in entries if "sha256" in entry]
        head = {
            key: document.get(key) for key in ("generation", "manifest", "sequence", "version", "created")
        }
        return {
            **head,
            "finished": True,
            "files": len(totals),
            "links": sum("target" in entry for entry in entries),
            "folders": sum("target" not in entry and "sha256" not in entry for entry in entries),
            "bytes": sum(size for size in totals if isinstance(size, int)),
        }

    def _manifest(self, path: Path) -> None:
        from validator import limits as sizes

        try:
            document = read_json_object(path, sizes.MANIFEST_BYTES)
        except Unreadable as error:
            self._unreadable("install/manifest.json", error)
            return
        document["files"] = len(_list(document.get("files")))
        self._add("install/manifest.json", "json", json.dumps(document), fields.MANIFEST)

    def _differences(self, generation: Path) -> None:
        """List what is not as sealed, by name, size and mode: digests take long, and the report has them."""
        from validator.host import receipt

        try:
            entries = receipt.read(generation)
            present = dict(receipt._walk(generation))
        except (Unreadable, OSError) as error:
            self._unreadable("host/generation-differences.txt", error)
            return
        lines = [f"missing {name}" for name in sorted(set(entries) - set(present))]
        lines += [f"extra   {name} {_facts(present[name])}" for name in sorted(set(present) - set(entries))]
        for name in sorted(set(entries) & set(present)):
            entry, facts = entries[name], present[name]
            same = "target" in entry or str(entry.get("mode")) in (_mode(facts), _mode(facts).lstrip("0"))
            if not same or ("sha256" in entry and entry.get("size") != facts.st_size):
                lines.append(
                    f"changed {name} {_facts(facts)} sealed {entry.get('mode')} {entry.get('size', '-')}"
                )
        self._add("host/generation-differences.txt", "listing", _capped(lines) or "none\n")

    # --- configuration and records -------------------------------------------------------------------------

    def _settings(self) -> None:
        for name in (".env", "ragtrace.yaml"):
            self._file(f"config/{name}", f"install/settings-{name.lstrip('.')}.txt", "settings", {})

    def _records(self) -> None:
        names = sorted(
            name for name in self._names("state") if name.startswith("audit") and name.endswith(".jsonl")
        )
        for name in names[-2:]:
            self._tail(f"state/{name}", f"install/{name}", "lines", fields.AUDIT, limits.RECORDS_BYTES)
        self._tail(
            "state/journal.jsonl", "install/journal.jsonl", "lines", fields.JOURNAL, limits.RECORDS_BYTES
        )

    def _unit(self) -> None:
        path = unit_path(self._subject)
        if path is None:
            return
        for part in (path, *sorted(path.with_name(path.name + ".d").glob("*.conf"))):
            name = "host/" + (part.name if part == path else f"{path.name}.d-{len(self._sources):03d}.conf")
            try:
                self._add(name, "unit", read_limited(part).decode("utf-8", "replace"))
            except Unreadable as error:
                self._unreadable(name, error)

    # --- host ----------------------------------------------------------------------------------------------

    def _resources(self) -> None:
        lines = []
        try:
            space = os.statvfs(self._prefix if self._prefix.exists() else self._prefix.anchor)
            lines.append(
                f"disk free {space.f_bavail * space.f_frsize} of {space.f_blocks * space.f_frsize} bytes"
            )
            lines.append(f"inodes free {space.f_favail} of {space.f_files}")
        except (OSError, AttributeError):
            lines.append("disk unknown")
        for path, keys in (
            ("/proc/meminfo", ("Mem", "Swap")),
            ("/proc/loadavg", ("",)),
            ("/proc/uptime", ("",)),
        ):
            try:
                text = Path(path).read_text("ascii", "replace")
            except OSError:
                continue
            lines += [f"{Path(path).name} {line}" for line in text.splitlines() if line.startswith(keys)]
        self._add("host/resources.txt", "own-log", "\n".join(lines) + "\n")

    def _listing(self) -> None:
        """List the installer's and the service's own folders; what people put into `data` is not listed."""
        lines = []
        for folder in _LISTED:
            place = self._prefix / folder
            for name in self._names(folder, gap=f"host/listing.txt ({folder or 'prefix'})"):
                try:
                    facts = os.lstat(place / name)
                except OSError:
                    lines.append(f"{folder}/{name} ?")
                    continue
                lines.append(f"{_facts(facts)} {folder}/{name}".replace(" /", " "))
        self._add("host/listing.txt", "listing", _capped(lines) or "nothing installed\n")

    def _names(self, folder: str, gap: str = "") -> List[str]:
        parts = [self._prefix / part for part in (folder, os.path.dirname(folder)) if part]
        if any(os.path.islink(part) for part in parts):
            # The service's user owns `data`, and must not lead root into other folders.
            self._gap(folder, Text("링크라 따라가지 않았습니다", "a link, which was not followed"))
            return []
        try:
            return sorted(os.listdir(self._prefix / folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self._unreadable(gap or folder, error)
            return []

    # --- logs ----------------------------------------------------------------------------------------------

    def _logs(self) -> None:
        found: List[Tuple[float, str]] = []
        for folder, wanted in (("data/logs", ""), ("state", ".log")):
            for name in self._names(folder, gap=folder):
                path = self._prefix / folder / name
                try:
                    facts = os.lstat(path)
                except OSError:
                    continue
                if stat.S_ISREG(facts.st_mode) and name.endswith(wanted):
                    found.append((facts.st_mtime, f"{folder}/{name}"))
        newest = sorted(found, reverse=True)
        for _, where in sorted(newest[: limits.LOG_FILES], key=lambda each: each[1]):
            name = where.rpartition("/")[2]
            rule = "own-log" if name.startswith(_OWN_LOGS) or where.startswith("state/") else "service-log"
            self._tail(
                where, f"logs/{_member(name)}", rule, fields.SERVICE_LOG, limits.LOG_BYTES, is_log=True
            )
        for _, where in newest[limits.LOG_FILES :]:
            self._gap(
                f"logs/{_member(where)}", Text("오래된 로그라 넣지 않았습니다", "an older log, left out")
            )

    def _tail(
        self, path: str, name: str, rule: str, allowed: fields.Allowed, most: int, *, is_log: bool = False
    ) -> None:
        try:
            text = tail(self._prefix / path, most)
        except OSError as error:
            self._unreadable(name, error)
            return
        self._add(name, rule, _last_lines(text, limits.LOG_LINES), allowed, is_log)

    def _manager_journal(self) -> None:
        unit = unit_path(self._subject)
        if unit is None or not Path("/run/systemd/system").is_dir():
            return
        words = ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={limits.JOURNAL_LINES}"]
        done = commands.run([*words, "--unit", unit.name], timeout_s=limits.COMMAND_TIMEOUT_S)
        if done.code != 0:
            self._gap("logs/journal.txt", Text("journalctl이 실패했습니다", "journalctl failed"))
            return
        self._add("logs/journal.txt", "service-log", done.output, fields.SERVICE_LOG, is_log=True)


def tail(path: Path, most: int) -> str:
    """Return the end of a regular file; a link is not followed.

    Raises:
        OSError: there is none, it is something else, or it cannot be read.
    """
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    with open(os.open(path, flags), "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(f"not a regular file: {path}")
        stream.seek(max(0, facts.st_size - most))
        data = stream.read(most)
    # A first line whose beginning was cut off would be read for something else.
    return (data.partition(b"\n")[2] if facts.st_size > most else data).decode("utf-8", "replace")


def _last_lines(text: str, count: int) -> str:
    lines = text.splitlines()
    return "\n".join(lines[-count:]) + "\n" if lines else ""


def _member(name: str) -> str:
    return "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in name)


def _list(value: object) -> List[Any]:
    return value if isinstance(value, list) else []


def _capped(lines: List[str]) -> str:
    rest = len(lines) - limits.LISTED
    shown = lines[: limits.LISTED] + ([f"… {rest} more"] if rest > 0 else [])
    return "".join(line + "\n" for line in shown)


def _mode(facts: os.stat_result) -> str:
    return f"{stat.S_IMODE(facts.st_mode):04o}"


def _facts(facts: os.stat_result) -> str:
    return f"{stat.filemode(facts.st_mode)} {facts.st_uid} {facts.st_size}"
