"""Containers: the files from which a host with a container engine builds and runs the bundle as an image.

They say what the manifest says - version, port, memory limit, how long the service may take to be ready - and are
part of what the manifest lists, so its own digest cannot be in them: it is a build argument that the build checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from bundle import layout
from bundle.errors import InternalError
from bundle.text import Text

from .inputs import REPOSITORY
from .plan import BundlePlan
from .stage import StagedFile, staged

FOLDER = "docker"
TEMPLATE = REPOSITORY / "bundle_template" / layout.SCRIPTS / FOLDER
# Those that hold @names@; the others travel as they are.
_FILLED = ("Dockerfile.offline", "compose.yaml", "README.md")


def stage_containers(plan: BundlePlan) -> list[StagedFile]:
    """Stage ``04_Scripts/docker/``; nothing where there is no service to run, or no Linux to run it on."""
    if plan.profile.service is None or plan.target.os != "linux":
        return []
    return list(_files(_words(plan)))


def _words(plan: BundlePlan) -> dict[str, str]:
    service = plan.profile.service
    assert service is not None
    limit = service.memory_limit_mb
    return {
        "version": plan.project.version,
        "project": plan.project.name,
        "profile": plan.profile.name,
        "target": plan.target.name,
        "pythons": ", ".join(plan.target.pythons),
        "port": str(service.port),
        "ready_timeout_s": str(service.ready_timeout_s),
        # Memory and swap together: a limit that lets a model swap is none.
        "mem_limit": f"    mem_limit: {limit}m\n    memswap_limit: {limit}m\n" if limit else "",
    }


def _files(words: Mapping[str, str]) -> Iterator[StagedFile]:
    for path in sorted(TEMPLATE.iterdir()):
        if not path.is_file():
            continue
        data = path.read_bytes()
        if path.name in _FILLED:
            data = fill(data.decode("utf-8"), words, path).encode("utf-8")
        mode = 0o755 if path.suffix in (".sh", ".py") else 0o644
        yield staged(f"{layout.SCRIPTS}/{FOLDER}/{path.name}", data, "installer", layout.SCRIPTS, mode)


def fill(text: str, words: Mapping[str, str], where: Path) -> str:
    """Put the words into a template.

    Raises:
        InternalError: it has a name that nobody fills in.
    """
    for name, value in words.items():
        text = text.replace(f"@{name}@", value)
    left = re.search(r"@[a-z_]+@", text)
    if left:
        raise InternalError(
            Text(f"채울 수 없는 이름: {left.group()}", f"a name nobody fills in: {left[0]}"), where=str(where)
        )
    return text
