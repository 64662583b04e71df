"""Where a plugin comes from, and how a child of it is started."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from bundle.offline import OFFLINE_ENVIRONMENT
from validator import limits
from validator.child import Child
from validator.subject import Subject

ENTRY_POINT, FILE = "entry-point", "file"
_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Source:
    """One plugin: an entry point of the service's environment, or a file whose text has been read.

    ``name`` is what people are told: the entry point's name and value, or the file's path. ``owner`` is the
    user a file belongs to: root runs it as that user, not as root.
    """

    kind: str
    name: str
    text: Optional[str] = None
    module: str = ""
    attribute: str = ""
    owner: Optional[Tuple[int, int]] = None

    def start(self, subject: Subject, checks: Optional[Sequence[str]] = None) -> Child:
        """Start a child that lists the plugin's checks, or runs the named ones."""
        folder = self.kind == FILE
        request = {
            "name": self.name,
            "text": self.text,
            "module": self.module,
            "attribute": self.attribute,
            "checks": None if checks is None else list(checks),
            "context": context_of(subject),
            "memory_mb": limits.CHECK_MEMORY_MB if folder else limits.COMMAND_MEMORY_MB,
        }
        return Child.speak(
            self._own_command() if folder else self._service_command(subject),
            request,
            environment=_own_environment() if folder else _service_environment(subject),
            owner=self.owner if folder else _data_owner(subject),
            folder="/" if sys.platform != "win32" else None,
        )

    @staticmethod
    def _own_command() -> List[str]:
        return [sys.executable, "-I", "-B", "-X", "utf8", "-c", _WORKER.read_text(encoding="utf-8")]

    @staticmethod
    def _service_command(subject: Subject) -> List[str]:
        # By its text, not its path: the service's user may not be able to read the validator's folder.
        cache = subject.prefix / "data" / "cache" / "pycache"
        options = ["-I", "-B", "-X", "utf8", "-X", f"pycache_prefix={cache}"]
        return [str(subject.python), *options, "-c", _WORKER.read_text(encoding="utf-8")]


def context_of(subject: Subject) -> Dict[str, Any]:
    """Return what a plugin's ``run`` is told: plain words and one number."""
    service = subject.service
    return {
        "prefix": str(subject.prefix),
        "generation": subject.generation.name if subject.generation else "",
        "config": str(subject.prefix / "config" / "ragtrace.yaml"),
        "data": str(subject.prefix / "data"),
        "host": service.host,
        "port": service.port,
    }


def _own_environment() -> Dict[str, str]:
    """Return an environment without the caller's secrets."""
    kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
    return {**{key: os.environ[key] for key in kept if key in os.environ}, **OFFLINE_ENVIRONMENT}


def _service_environment(subject: Subject) -> Dict[str, str]:
    from validator.host.commands import service_environment

    return service_environment(subject)


def _data_owner(subject: Subject) -> Optional[Tuple[int, int]]:
    from validator.host.commands import data_owner

    return data_owner(subject)
