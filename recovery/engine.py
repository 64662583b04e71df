"""The installer as the engine of every action: which one is trusted to run, how it is run, what its answer means.

It is a child process that is never killed from here: it is a transaction, and asked to end it puts things back by
itself. Interrupted, the assistant asks it to end and waits.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

from bundle import layout
from bundle.hashing import sha256_file
from bundle.text import Text
from validator.host import receipt
from validator.subject import GENERATION_NAME, Subject, Unreadable

SCRIPT = "install.py"
OUTPUT_BYTES = 4 * 1024 * 1024
BUSY = 15
MEANINGS = {
    2: Text("설치 프로그램이 이 명령을 받아들이지 않았습니다", "the installer refused this command"),
    10: Text(
        "필요한 내용이 이 호스트에 온전하게 남아 있지 않거나 서명을 확인할 수 없습니다",
        "contents are nowhere intact on this host, or a signature does not hold",
    ),
    11: Text("정책이 허용하지 않습니다", "a policy does not allow it"),
    12: Text("호스트가 요구를 채우지 못합니다", "the host does not meet the requirements"),
    13: Text("실패했고, 이전 상태로 되돌렸습니다", "it failed; the earlier state is restored"),
    14: Text("끝나지 않았습니다. 복구가 더 필요합니다", "it did not end; recovery is needed"),
    BUSY: Text(
        "다른 설치 작업이 진행 중입니다. 끝난 뒤 다시 실행하십시오",
        "another installer is at work; run again when it has ended",
    ),
    16: Text(
        "서비스가 건강해지지 않아 이전 상태로 되돌렸습니다",
        "the service did not become healthy; the earlier state is restored",
    ),
    70: Text("설치 프로그램의 내부 오류", "an internal error of the installer"),
    130: Text("중단되어 이전 상태로 되돌렸습니다", "interrupted; the earlier state is restored"),
}
BROKEN = Text("설치 프로그램 자체가 실행되지 않습니다", "the installer itself does not run")


@dataclass(frozen=True)
class Means:
    """What the assistant works with: the installation, and what the operator carried in."""

    subject: Subject
    lang: str
    bundle: Optional[Path] = None
    advisories: Optional[Path] = None


@dataclass(frozen=True)
class Answer:
    """What the installer said: its exit code, its document, and in words what went wrong."""

    code: int
    document: Dict[str, Any] = field(default_factory=dict)
    complaint: str = ""

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked to."""
        return self.code == 0

    def told(self, lang: str) -> str:
        """Return what went wrong, for a person; nothing where all went well."""
        if self.ok:
            return ""
        meaning = MEANINGS.get(self.code, BROKEN).to(lang)
        return f"{meaning} (install.py: {self.code})" + (f": {self.complaint}" if self.complaint else "")


def installer_script(means: Means) -> Optional[Path]:
    """Return the installer to run: the active release's own, unless its files are not as sealed."""
    candidates = list(_candidates(means))
    for script, generation in candidates:
        if generation is None or _intact(generation):
            return script
    return candidates[0][0] if candidates else None


def _candidates(means: Means) -> Iterator[Tuple[Path, Optional[Path]]]:
    """Yield scripts with the release that they belong to: the active one's, a bundle's, one that is kept."""
    subject = means.subject
    active = subject.generation
    folders: List[Tuple[Path, Optional[Path]]] = [(active / "tools", active)] if active is not None else []
    folders += [(bundle, None) for bundle in (means.bundle, subject.bundle) if bundle is not None]
    here = Path(__file__).resolve().parent.parent
    folders += [(folder / "tools", folder) for folder in _kept(subject)]
    folders.append((here.parent, None))
    for folder, generation in folders:
        script = folder / layout.SCRIPTS / SCRIPT
        # This program may itself lie in a release: then that release's files have to be intact, too.
        if generation is None and folder.name == "tools" and GENERATION_NAME.match(folder.parent.name):
            generation = folder.parent
        if script.is_file():
            yield script, generation


def _kept(subject: Subject) -> List[Path]:
    try:
        found = [
            path for path in (subject.prefix / "generations").iterdir() if GENERATION_NAME.match(path.name)
        ]
    except OSError:
        return []
    return sorted((path for path in found if path.is_dir()), reverse=True)


def _intact(generation: Path) -> bool:
    """Whether every file of a release's installer is as its receipt says: a damaged one repairs nothing."""
    inside = f"tools/{layout.SCRIPTS}/"
    try:
        entries = receipt.read(generation)
        sealed = {
            name: entry for name, entry in entries.items() if name.startswith(inside) and "sha256" in entry
        }
        for name, entry in sealed.items():
            if sha256_file(generation / name) != (entry["size"], entry["sha256"]):
                return False
    except (OSError, Unreadable, KeyError):
        return False
    return bool(sealed)


def command(means: Means, *words: str) -> str:
    """Return the installer's command for a person to give."""
    script = installer_script(means)
    program = str(script) if script is not None else f"{layout.SCRIPTS}/{SCRIPT}"
    return " ".join(
        shlex.quote(word) for word in ("python3", program, "--prefix", str(means.subject.prefix), *words)
    )


def install(means: Means, *words: str) -> Answer:
    """Run the installer on this installation and wait until it has ended."""
    script = installer_script(means)
    if script is None:
        return Answer(-1, complaint="install.py")
    argv = [sys.executable, "-B", str(script), "--prefix", str(means.subject.prefix)]
    argv += ["--lang", means.lang, "--json", *words]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        except OSError as error:
            return Answer(-1, complaint=str(error))
        wait(process)
        return _answer(process.returncode, _read(out), _read(errors))


def wait(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the end; interrupted, ask it to put things back and wait for that."""
    try:
        process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
        while True:
            try:
                process.wait()
                break
            except KeyboardInterrupt:
                continue
        raise


def _read(stream: Any) -> str:  # noqa: ANN401 - whatever tempfile gives
    stream.seek(0)
    return str(stream.read(OUTPUT_BYTES).decode("utf-8", "replace"))


def _answer(code: int, out: str, errors: str) -> Answer:
    try:
        document = json.loads(out)
    except (ValueError, RecursionError):
        document = {}
    if not isinstance(document, dict):
        document = {}
    lines = [str(document.get(key) or "") for key in ("summary", "next")]
    said = " / ".join(line for line in lines if line) or (errors.strip().splitlines() or [""])[-1]
    return Answer(code, document, said[:600])


def owner_of(subject: Subject) -> Optional[int]:
    """Return the user who owns the installation's state, and so may change it; None where nobody can tell."""
    for place in (subject.prefix / "state", subject.prefix):
        try:
            return os.lstat(place).st_uid
        except OSError:
            continue
    return None
