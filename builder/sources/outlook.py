"""What can be said of a source before it is built: where it comes from, why, and whether it can serve the target."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from bundle.manifest import Target
from bundle.text import Text

from ..plan import NO_WHEEL_FITS, Artifact, local_path

_WHY = {
    "sdist": Text("휠이 배포되지 않음", "no wheel is published"),
    "git": Text("git 저장소의 소스", "source of a git repository"),
    "directory": Text("로컬 폴더의 소스", "source of a local folder"),
}
_OTHERS = Text("휠은 다른 환경용만 배포됨", "wheels are published for other hosts only")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def why(item: Artifact) -> Text:
    """Return why the artefact has to be built."""
    return _OTHERS if item.reason == NO_WHEEL_FITS else _WHY[item.kind]


def outlook(item: Artifact, target: Target) -> Text:
    """Return what is known before the build; only the build itself shows whether the wheel is portable."""
    here = f"{sys.platform} {platform.machine()}"
    native = item.reason == NO_WHEEL_FITS
    if native and not same_platform(target):
        return Text(
            f"네이티브 코드로 보이며, {target.name}용은 {here}에서 만들 수 없음",
            f"so probably native code, which cannot be built for {target.name} on {here}",
        )
    if native:
        return Text(
            "네이티브 코드로 보이며, 그렇다면 이 컴퓨터에 묶인 휠이 되어 거절됨",
            "so probably native code, whose wheel would be bound to this machine and refused",
        )
    if same_platform(target):
        return Text(
            "순수 파이썬 휠이어야 함, 빌드해 보아야 알 수 있음",
            "must come out as pure Python, which only its build will show",
        )
    return Text(
        f"{target.name}용으로는 순수 파이썬일 때만 가능 (네이티브 코드는 {here}에서 만들 수 없음), 빌드해 보아야 알 수 있음",
        f"serves {target.name} only if it is pure Python (native code for it cannot be built on {here}), which only its build will show",
    )


def same_platform(target: Target) -> bool:
    """Return whether the build box has the target's system and processor."""
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
    return (system, _machine(platform.machine())) == (target.os, _machine(target.arch))


def origin(item: Artifact, workspace: Path) -> str:
    """Return where the source comes from, without credentials and without folders of the build box."""
    end = f"#subdirectory={item.subdirectory}" if item.subdirectory else ""
    if item.source.startswith("file:") and item.kind != "git":
        path = local_path(item.source)
        try:
            return f"path:{Path(os.path.relpath(path, workspace)).as_posix()}{end}"
        except ValueError:  # another drive of Windows
            return f"path:{path.name}{end}"
    parts = urlsplit(item.source)
    public = urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1]))
    return f"git+{public}@{item.commit}{end}" if item.kind == "git" else f"{public}{end}"


def _machine(name: str) -> str:
    return _MACHINES.get(name.lower(), name.lower())
