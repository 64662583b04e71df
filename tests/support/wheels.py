"""Small real wheels and sdists from a few words of description."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping

_DATE = (2020, 1, 1, 0, 0, 0)


def wheel_bytes(
    name: str,
    version: str,
    files: Mapping[str, str | bytes] | None = None,
    *,
    tag: str = "py3-none-any",
    record: Mapping[str, str] | None = None,
    requires: tuple[str, ...] = (),
    extra_members: Mapping[str, bytes] | None = None,
    metadata_name: str | None = None,
    entry_points: str = "",
    metadata: str = "",
) -> bytes:
    """Return a wheel.

    Args:
        files: members by name; default one module.
        record: RECORD entries that replace the true ones (a lie, or an omission when empty).
        extra_members: members that RECORD does not mention.
        metadata_name: the name METADATA claims, when it should differ.
        metadata: more lines of METADATA.
    """
    info = f"{name}-{version}.dist-info"
    members: dict[str, bytes] = {
        key: value.encode() if isinstance(value, str) else value
        for key, value in (files or {f"{name}/__init__.py": f'VERSION = "{version}"\n'}).items()
    }
    needs = "".join(f"Requires-Dist: {item}\n" for item in requires)
    members[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {metadata_name or name}\nVersion: {version}\n{needs}{metadata}".encode(
            "utf-8", "surrogateescape"
        )
    )
    members[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {str(tag.endswith('any')).lower()}\nTag: {tag}\n".encode()
    )
    if entry_points:
        members[f"{info}/entry_points.txt"] = entry_points.encode()
    rows = {key: f"sha256={_record_hash(value)},{len(value)}" for key, value in members.items()}
    rows.update(record or {})
    lines = "".join(f"{key},{value}\n" for key, value in rows.items() if value) + f"{info}/RECORD,,\n"
    members[f"{info}/RECORD"] = lines.encode()
    members.update(extra_members or {})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in members.items():
            archive.writestr(zipfile.ZipInfo(key, _DATE), value, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def sdist_bytes(name: str, version: str, *, build_requires: str = "", backend: str = "") -> bytes:
    """Return an sdist whose build backend lies in the sdist itself, so that it builds without an index."""
    top = f"{name}-{version}"
    code = f"import sys, pathlib\nNAME, VERSION = {name!r}, {version!r}\n" + (backend or _BACKEND)
    members = {
        f"{top}/PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{top}/pyproject.toml": (
            f'[project]\nname = "{name}"\nversion = "{version}"\n'
            f'[build-system]\nrequires = [{build_requires}]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        ),
        f"{top}/backend.py": code,
        f"{top}/{name}/__init__.py": f'VERSION = "{version}"\n',
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for key, value in members.items():
            member = tarfile.TarInfo(key)
            data = value.encode()
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


_BACKEND = """
import base64, hashlib, os, zipfile

TAG = os.environ.get("TEST_WHEEL_TAG", "py3-none-any")


def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = f"{NAME}-{VERSION}.dist-info"
    members = {f"{NAME}/__init__.py": open(f"{NAME}/__init__.py", "rb").read()}
    members[f"{info}/METADATA"] = f"Metadata-Version: 2.1\\nName: {NAME}\\nVersion: {VERSION}\\n".encode()
    members[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: {TAG}\\n".encode()
    rows = ""
    for key, value in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(value).digest()).rstrip(b"=").decode()
        rows += f"{key},sha256={digest},{len(value)}\\n"
    members[f"{info}/RECORD"] = (rows + f"{info}/RECORD,,\\n").encode()
    filename = f"{NAME}-{VERSION}-{TAG}.whl"
    with zipfile.ZipFile(os.path.join(folder, filename), "w") as archive:
        for key, value in members.items():
            archive.writestr(zipfile.ZipInfo(key, (2020, 1, 1, 0, 0, 0)), value)
    return filename
"""
