"""Stage: decide where every file of the bundle comes from and goes to, without copying any of them.

A staged file is a name in the bundle and the place its bytes lie at now - the cache, the repository, or
memory. Packing reads each once and compares it with the digest promised here, so no staging folder and
no second copy of multi-gigabyte weights exists (docs/adr/0004).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from bundle import checksums, layout, names
from bundle.errors import BuildError
from bundle.hashing import sha256_bytes
from bundle.manifest import FileEntry
from bundle.text import Text

from .cache import Cache
from .inputs import REPOSITORY, ProjectSpec

# Never part of a project's source in a bundle: caches, environments, and what may hold secrets.
_SKIPPED = {"__pycache__", "node_modules"}
# Outputs of tools at the top of a project; deeper down these are ordinary names of packages.
_SKIPPED_AT_TOP = {"dist", "build", "venv", "htmlcov"}
_SKIPPED_SUFFIXES = (".pyc", ".pyo", ".egg-info", ".so", ".pem", ".key")


@dataclass(frozen=True)
class StagedFile:
    """One file of the bundle and where its bytes are now: a path, or the bytes themselves."""

    entry: FileEntry
    source: Path | bytes


def staged(path: str, source: Path | bytes, kind: str, component: str, mode: int = 0o644) -> StagedFile:
    """Stage a small file: read and hash it now, so what is promised is what was read."""
    data = source.read_bytes() if isinstance(source, Path) else source
    return StagedFile(FileEntry(path, len(data), sha256_bytes(data), mode, kind, component), data)


def from_cache(path: str, cache: Cache, sha256: str, kind: str, component: str) -> StagedFile:
    """Stage a cached file under the digest that is its name there; packing checks the bytes."""
    place = cache.path(sha256)
    return StagedFile(FileEntry(path, place.stat().st_size, sha256, 0o644, kind, component), place)


def project_source(project: ProjectSpec) -> list[StagedFile]:
    """Stage the project's source tree and its lock under ``03_Source/``."""
    component = project.name
    files = []
    for path in source_files(project.root):
        name = path.relative_to(project.root).as_posix()
        kind = "config" if name.startswith("config.default/") else "source"
        files.append(staged(f"{layout.SOURCE}/{name}", path, kind, component))
    if project.workspace != project.root:
        files.append(staged(f"{layout.SOURCE}/uv.lock", project.workspace / "uv.lock", "source", component))
    return files


def source_digest(files: Iterable[StagedFile]) -> str:
    """Return one digest over a set of staged files: what an unchanged tree is recognised by."""
    return sha256_bytes(checksums.checksum_lines((item.entry.path, item.entry.sha256) for item in files))


def far_side() -> list[StagedFile]:
    """Stage installer, validator and recovery assistant with their entries, and the documents."""
    files: list[StagedFile] = []
    for package in ("installer", "bundle"):
        files += _package(package, layout.SCRIPTS, "installer")
    for package in ("validator", "recovery"):
        files += _package(package, layout.VERIFICATION, "validator")
    for entry in ("enterprise_validator.py", "recovery_assistant.py"):
        files.append(
            staged(f"{layout.VERIFICATION}/{entry}", REPOSITORY / entry, "validator", "validator", 0o755)
        )
    # What lies under docker/ says what the manifest says: containers.py fills it in.
    files += _template(layout.SCRIPTS, "installer", without="docker")
    files += _template(layout.DOCUMENTATION, "document")
    files += _template(layout.PREREQUISITES, "document")
    files += _template(layout.MODELS, "document")
    return files


def _package(name: str, folder: str, kind: str) -> Iterator[StagedFile]:
    root = REPOSITORY / name
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            yield staged(f"{folder}/{name}/{path.relative_to(root).as_posix()}", path, kind, name)


def _template(folder: str, kind: str, without: str = "") -> Iterator[StagedFile]:
    root = REPOSITORY / "bundle_template" / folder
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        relative = path.relative_to(root)
        if (
            path.is_file()
            and relative.parts[0] != without
            and not any(part == "__pycache__" or part.startswith(".") for part in relative.parts)
        ):
            mode = 0o755 if path.suffix in (".py", ".sh") else 0o644
            yield staged(f"{folder}/{relative.as_posix()}", path, kind, folder, mode)


def source_files(root: Path) -> Iterator[Path]:
    """Yield the files of a source tree that a bundle or a build takes: no caches, outputs or secrets.

    Raises:
        BuildError: a symbolic link, whose meaning would depend on this machine.
    """
    return _source_files(root, _SKIPPED | _SKIPPED_AT_TOP)


def _source_files(root: Path, skipped: Set[str]) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name in skipped or path.name.endswith(_SKIPPED_SUFFIXES):
            continue
        if path.is_symlink():
            raise BuildError(
                Text("소스에 심볼릭 링크가 있습니다", "the source holds a symbolic link"),
                where=str(path),
                hint=Text("실제 파일로 바꾸십시오", "replace it by the file itself"),
            )
        if path.is_dir():
            yield from _source_files(path, _SKIPPED)
        elif path.is_file():
            yield path


def sorted_files(files: Sequence[StagedFile]) -> list[StagedFile]:
    """Return the files by name.

    Raises:
        BuildError: names that not every system can hold, or two files that want one place.
    """
    ordered = sorted(files, key=lambda item: item.entry.path)
    wrong = [(item.entry.path, names.problem_with(item.entry.path)) for item in ordered]
    refused = [Text(f"{path}: {text.ko}", f"{path}: {text.en}") for path, text in wrong if text is not None]
    if refused:
        raise BuildError(
            Text("모든 시스템에서 쓸 수 있는 이름이 아닙니다", "file names are not usable on every system"),
            details=refused,
        )
    clashes = names.colliding([item.entry.path for item in ordered])
    if clashes:
        raise BuildError(
            Text("같은 이름의 파일이 둘입니다", "two files want one name"), where=", ".join(clashes[:5])
        )
    return ordered
