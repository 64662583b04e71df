"""Packages: is the active generation, byte for byte, what was sealed?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from bundle.hashing import hash_files
from bundle.text import Text
from validator.host import commands, dists, facts, receipt
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped, unknown
from validator.names import listed
from validator.subject import Subject, Unreadable

PACKAGES = Category.PACKAGES
NO_VENV = Text("가상 환경이 없습니다", "the virtual environment is missing")
# What the installer's tools put into every virtual environment without being in a lock.
SEEDED = frozenset({"pip", "setuptools", "wheel", "uv"})


@check(
    "PKG-001",
    PACKAGES,
    Text("영수증과 파일 일치", "Files agree with the receipt"),
    severity=Severity.CRITICAL,
    timeout_s=300,
    needs_installation=True,
    own_process=True,
)
def receipt_holds(subject: Subject) -> Outcome:
    """Every path of the active generation has the size, digest and mode of its receipt; there is no other.

    The digests of model files, which may be many gigabytes, are compared by RAG-011.
    """
    generation = _generation(subject)
    try:
        found = receipt.compare(generation, unread=("models",))
    except (Unreadable, KeyError, ValueError) as error:
        what = Text("영수증을 읽을 수 없습니다", "the receipt cannot be read")
        why = Text(
            "설치가 끝나지 않았거나 파일이 손상되었습니다",
            "the installation did not end, or the file is damaged",
        )
        return Outcome(Status.FAIL, what, str(error)[:300], receipt.RECEIPT, why, "reinstall")
    if not found.total:
        what = Text(f"{found.files}개 파일이 봉인된 그대로입니다", f"{found.files} files are as sealed")
        return passed(what, measured=f"{found.files} files", expected="0 differences")
    parts = [
        f"{label}: {listed(names)}"
        for label, names in (
            ("missing", found.missing),
            ("changed", found.changed),
            ("mode", found.modes),
            ("extra", found.extra),
        )
        if names
    ]
    what = Text("봉인된 내용과 다릅니다: " + "; ".join(parts), "not as sealed: " + "; ".join(parts))
    why = Text("파일이 손상되었거나 누군가 바꿨습니다", "files were damaged, or somebody changed them")
    return Outcome(Status.FAIL, what, f"{found.total} differences", "0 differences", why, "reinstall")


@check(
    "PKG-002",
    PACKAGES,
    Text("설치된 패키지 목록", "Installed set of packages"),
    severity=Severity.HIGH,
    needs_installation=True,
)
def installed_set(subject: Subject) -> Outcome:
    """The installed packages and versions are exactly those of the manifest for this Python."""
    if subject.manifest is None:
        what = Text("세대의 매니페스트를 읽을 수 없습니다", "the generation's manifest cannot be read")
        return unknown(what, measured=str(subject.manifest_path), remedy="reinstall")
    if subject.site_packages is None:
        return _no_venv()
    version = facts.minor(subject.venv_python_version)
    # Two versions of one package for one X.Y: which of them is installed depends on the patch release.
    wanted: Dict[str, List[str]] = {}
    for item in subject.manifest.packages:
        if not version or version in item.pythons:
            wanted.setdefault(dists.normalized(item.name), []).append(item.version)
    present = {name: item.version for name, item in dists.installed(subject.site_packages).items()}
    problems = _set_problems(wanted, present)
    expected = f"{len(wanted)} packages"
    if not problems:
        return passed(
            Text("매니페스트와 같습니다", "as the manifest says"), measured=expected, expected=expected
        )
    what = Text("매니페스트와 다릅니다: " + listed(problems), "not as the manifest says: " + listed(problems))
    why = Text("가상 환경이 설치 뒤에 바뀌었습니다", "the environment was changed after the installation")
    return Outcome(Status.FAIL, what, f"{len(problems)} differences", expected, why, "reinstall")


def _set_problems(wanted: Dict[str, List[str]], present: Dict[str, str]) -> List[str]:
    problems = [f"{name} missing" for name in sorted(wanted) if name not in present]
    problems += [
        f"{name} {present[name]} (expected {' or '.join(wanted[name])})"
        for name in sorted(wanted)
        if name in present and not any(_same_version(present[name], each) for each in wanted[name])
    ]
    problems += [f"{name} not in the manifest" for name in sorted(set(present) - set(wanted) - SEEDED)]
    return problems


def _same_version(left: str, right: str) -> bool:
    """Compare as file names carry versions: ``+cpu.1`` may be written ``+cpu_1``, case does not matter."""
    return left.lower().replace("_", "-").replace("-", ".") == right.lower().replace("_", "-").replace(
        "-", "."
    )


@check(
    "PKG-003",
    PACKAGES,
    Text("RECORD 해시", "RECORD digests"),
    severity=Severity.HIGH,
    timeout_s=60,
    needs_installation=True,
    own_process=True,
)
def record_hashes(subject: Subject) -> Outcome:
    """Every installed file has the digest that its package's RECORD states."""
    if subject.site_packages is None:
        return _no_venv()
    wanted: Dict[Path, str] = {}
    broken: List[str] = []
    for name, item in dists.installed(subject.site_packages).items():
        try:
            wanted.update((line.path, line.sha256) for line in dists.record(item) if line.sha256)
        except (OSError, ValueError) as error:
            broken.append(f"{name}: RECORD {type(error).__name__}")
    for path, _, digest in hash_files(wanted):
        if digest != wanted[path]:
            problem = digest.strerror if isinstance(digest, OSError) else "changed"
            broken.append(f"{path.name}: {problem}")
    expected = f"{len(wanted)} files"
    if not broken:
        return passed(
            Text("모든 파일이 RECORD와 같습니다", "every file is as recorded"),
            measured=expected,
            expected=expected,
        )
    what = Text("RECORD와 다릅니다: " + listed(sorted(broken)), "not as recorded: " + listed(sorted(broken)))
    why = Text("패키지 파일이 손상되었거나 바뀌었습니다", "package files were damaged or changed")
    return Outcome(Status.FAIL, what, f"{len(broken)} differences", expected, why, "reinstall")


_IMPORTER = """
import importlib, json, sys
broken = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        broken[name] = (type(error).__name__ + ": " + str(error))[:300]
print("\\n" + json.dumps(broken))
"""


@check(
    "PKG-004",
    PACKAGES,
    Text("주요 패키지 불러오기", "Imports of the main packages"),
    severity=Severity.CRITICAL,
    timeout_s=30,
    needs_installation=True,
    own_process=True,
)
def imports(subject: Subject) -> Outcome:
    """The project and what it requires directly can be imported by the generation's own interpreter."""
    if subject.site_packages is None or subject.python is None:
        return _no_venv()
    names = main_imports(subject)
    if not names:
        return skipped(Text("불러올 패키지를 찾지 못했습니다", "no package to import was found"))
    done = commands.run_python(subject, ["-I", "-B", "-c", _IMPORTER, *names], timeout_s=28)
    broken = _json_tail(done.output)
    expected = f"{len(names)} modules"
    if broken == {} and done.code == 0:
        return passed(
            Text("모두 불러왔습니다: " + listed(names), "all imported: " + listed(names)), measured=expected
        )
    why = Text(
        "패키지가 빠졌거나 이 호스트에 맞지 않습니다", "a package is missing or does not fit this host"
    )
    if broken is None:
        what = Text("가상 환경의 Python이 실행되지 않습니다", "the environment's interpreter does not run")
        return Outcome(Status.FAIL, what, done.complaint or f"exit {done.code}", expected, why, "reinstall")
    text = listed(f"{name} ({problem})" for name, problem in sorted(broken.items()))
    what = Text("불러올 수 없습니다: " + text, "cannot be imported: " + text)
    return Outcome(Status.FAIL, what, f"{len(broken)} of {len(names)}", expected, why, "reinstall")


def main_imports(subject: Subject) -> List[str]:
    """Return the modules of the project and of its direct requirements."""
    if subject.site_packages is None:
        return []
    present = dists.installed(subject.site_packages)
    project = dists.normalized(subject.manifest.project.name if subject.manifest else subject.service.module)
    if project not in present:
        return []
    names: List[str] = []
    for name in (project, *dists.direct_requirements(present[project])):
        if name in present:
            try:
                names.extend(dists.import_names(present[name]))
            except (OSError, ValueError):
                names.append(name.replace("-", "_"))
    return list(dict.fromkeys(name for name in names if not name.startswith("_")))


def _json_tail(output: str) -> Optional[Dict[str, str]]:
    lines = output.strip().splitlines()
    try:
        value = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _no_venv() -> Outcome:
    why = Text("설치가 손상되었습니다", "the installation is damaged")
    return Outcome(Status.FAIL, NO_VENV, "", "generations/<name>/venv", why, "reinstall")


def _generation(subject: Subject) -> Path:
    if subject.generation is None:
        raise LookupError("no active generation")
    return subject.generation


CHECKS: Tuple[Check, ...] = (receipt_holds, installed_set, record_hashes, imports)
