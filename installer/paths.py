"""Where everything of an installation lies below its prefix."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable

from bundle.errors import UsageProblem
from bundle.text import Text

# Set by install.sh: an interpreter unpacked to a temporary folder, which must not become the service's.
TEMPORARY_PYTHON = "RAGTRACE_TEMPORARY_PYTHON"
# Sequence, the manifest's digest, and for a repaired rebuild of the same release its number.
GENERATION_NAME = re.compile(r"\d{6,12}-[0-9a-f]{12}(-r[1-9]\d{0,3})?\Z")


@dataclass(frozen=True)
class Prefix:
    """An installation's folder, and the names inside it."""

    root: Path

    @property
    def pointer(self) -> Path:
        """The only commit point."""
        return self.root / "current.json"

    @property
    def link(self) -> Path:
        """A convenience for people; derived from the pointer."""
        return self.root / "current"

    @property
    def link_note(self) -> Path:
        """The same where there are no links for everybody (Windows): a file that names the folder."""
        return self.root / "current.txt"

    @property
    def generations(self) -> Path:
        """Releases, each built once and never edited."""
        return self.root / "generations"

    @property
    def store(self) -> Path:
        """Everything that releases were made from, by content; model files are shared as hard links."""
        return self.root / "store" / "sha256"

    @property
    def incoming(self) -> Path:
        """Which contents are on their way into the store; gone once an operation has ended."""
        return self.state / "incoming.json"

    @property
    def data(self) -> Path:
        """What the service owns: documents, indexes, databases, logs."""
        return self.root / "data"

    @property
    def snapshots(self) -> Path:
        """States of `data` that kept releases used, taken before a release changed their format."""
        return self.root / "snapshots"

    @property
    def data_note(self) -> Path:
        """How far a change of the data's format got; gone once it has ended."""
        return self.state / "data.json"

    @property
    def logs(self) -> Path:
        """Logs of the service and of health checks."""
        return self.data / "logs"

    @property
    def config(self) -> Path:
        """What the operator edits."""
        return self.root / "config"

    @property
    def settings(self) -> Path:
        """KEY=VALUE lines for the service's environment, owner-only."""
        return self.config / ".env"

    @property
    def trust(self) -> Path:
        """Pinned signers and the record of accepted releases."""
        return self.root / "trust"

    @property
    def allowed_signers(self) -> Path:
        """Signers an earlier installation verified."""
        return self.trust / "allowed_signers"

    @property
    def records(self) -> Path:
        """The chain of trust records: where there is one, it says who is trusted, and `allowed_signers` is
        derived from it."""
        return self.trust / "records.json"

    @property
    def renewal(self) -> Path:
        """The advisory snapshot that was carried in after the release, with its signatures."""
        return self.trust / "advisories.json"

    @property
    def accepted(self) -> Path:
        """Highest accepted sequence and the releases that passed their health check."""
        return self.trust / "accepted.json"

    @property
    def state(self) -> Path:
        """The installer's own folder."""
        return self.root / "state"

    @property
    def lock(self) -> Path:
        """The file whose kernel lock says that an installer is at work."""
        return self.state / "lock"

    @property
    def journal(self) -> Path:
        """What the last run began and ended: advice, never truth."""
        return self.state / "journal.jsonl"

    @property
    def audit(self) -> Path:
        """Append-only record of who changed what."""
        return self.state / "audit.jsonl"

    @property
    def breaker(self) -> Path:
        """How many recoveries in a row have failed."""
        return self.state / "recovery.json"

    @property
    def reserve(self) -> Path:
        """Bytes set aside, freed to finish a recovery on a full disk."""
        return self.state / "reserve.bin"

    @property
    def scratch(self) -> Path:
        """Temporary files of a run; on the same file system, so that hard links work."""
        return self.state / "tmp"

    @property
    def service(self) -> Path:
        """Which service manager runs the service, under which name, and whether it should run."""
        return self.state / "service.json"

    @property
    def service_lock(self) -> Path:
        """Locked by the running service process itself (service manager `process`)."""
        return self.state / "service.lock"

    @property
    def uninstalling(self) -> Path:
        """Says that an uninstall has begun; with no pointer left beside it, that it has to be finished."""
        return self.state / "uninstall.json"

    @property
    def task(self) -> Path:
        """What is registered with the Task Scheduler (service manager `windows`)."""
        return self.state / "task.xml"

    def holds_tools(self, root: Path) -> bool:
        """Return whether `root` is the `tools` folder of a release below this prefix, not a bundle."""
        return root.name == "tools" and root.resolve().parent.parent == self.generations.resolve()

    def generation(self, name: str) -> Path:
        """Return a release's folder.

        Raises:
            ValueError: the name is not one of ours, so it may not become part of a path.
        """
        if not GENERATION_NAME.match(name):
            raise ValueError(f"not a generation name: {name!r}")
        return self.generations / name


def default_prefix() -> Path:
    """Return `/opt/ragtrace` for root, a folder in the home folder for everybody else; on Windows, which has
    neither, the programs' folder for an administrator, else the user's own.

    Raises:
        UsageProblem: nobody knows where this user's home folder is.
    """
    if sys.platform == "win32":
        from .hosts.windows import is_administrator

        own = "ProgramFiles" if is_administrator() else "LOCALAPPDATA"
        return Path(os.environ.get(own) or Path.home()) / "RAGTrace"
    if os.geteuid() == 0:
        return Path("/opt/ragtrace")
    try:
        return Path.home() / ".local" / "share" / "ragtrace"
    except RuntimeError as error:
        raise UsageProblem(
            Text("홈 폴더를 알 수 없습니다 (HOME이 없음)", "the home folder is unknown (HOME is not set)"),
            hint=Text("--prefix로 설치 위치를 지정하십시오", "say where to install with --prefix"),
        ) from error


def generation_name(sequence: int, digest: str) -> str:
    """Return the name of the release made from the manifest with this digest."""
    return f"{sequence:06d}-{digest[:12]}"


def release_of(generation: str) -> str:
    """Return the name of the release that a generation is, or is a repaired rebuild of."""
    return "-".join(generation.split("-")[:2])


def rebuild_name(generation: str, taken: Iterable[str]) -> str:
    """Return the name of the next rebuild of a generation's release; no name among `taken` is used again."""
    release = release_of(generation)
    numbers = [0, *(int(name.rpartition("-r")[2]) for name in taken if name.startswith(f"{release}-r"))]
    return f"{release}-r{max(numbers) + 1}"
