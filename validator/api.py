"""The validator as a function: the command line uses it too, so there is one path."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Optional, Sequence, Union

from bundle.text import Text
from validator import waivers as accepted
from validator.engine import OnResult, run_checks
from validator.report import Report, Timing
from validator.selection import Wanted, choose, usage
from validator.subject import Subject, default_prefix, find_bundle, find_prefix

__all__ = ["Report", "make_subject", "run", "validate"]

Place = Union[str, Path]


def validate(
    prefix: Optional[Place] = None,
    bundle: Optional[Place] = None,
    categories: Sequence[str] = (),
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    plugins: bool = True,
    lang: str = "en",
    *,
    plugin_folders: Sequence[Place] = (),
    waivers: Optional[Place] = None,
    strict: bool = False,
    service_name: Optional[str] = None,
) -> Report:
    """Check this host and what is installed on it.

    Args:
        prefix: where the installation is or will be; nothing means where the installer puts it.
        bundle: an unpacked bundle to compare with.
        categories: only these categories.
        only: only these checks.
        skip: all but these checks.
        plugins: whether checks of plugins take part.
        lang: language of the report's texts, ``ko`` or ``en``.
        plugin_folders: folders of single-file plugins beside ``<prefix>/config/checks``.
        waivers: file of waivers; nothing means ``<prefix>/config/waivers.json`` if it exists.
        strict: count warnings and skips as failures.
        service_name: name of the systemd unit; nothing means what the installer noted.

    Raises:
        UsageProblem: something that was asked for does not exist, or the waivers are not right.
    """
    folders = tuple(_place(folder, "plugins") for folder in plugin_folders)
    wanted = Wanted(tuple(categories), tuple(only), tuple(skip), plugins, folders)
    subject = make_subject(prefix, bundle, service_name)
    return run(subject, wanted, lang, waivers=waivers, strict=strict)


def run(
    subject: Subject,
    wanted: Wanted,
    lang: str,
    *,
    waivers: Optional[Place] = None,
    strict: bool = False,
    on_result: Optional[OnResult] = None,
) -> Report:
    """Choose, run and weigh the checks of *subject*; raises as `validate` does."""
    started, tick = time.time(), time.monotonic()
    selection = choose(subject, wanted)
    file = _place(waivers, "waivers") if waivers is not None else None
    listed = accepted.load(file, subject, selection.known, plugins_known=selection.plugins_known)
    results = listed.apply(run_checks(selection.checks, subject, on_result=on_result))
    timing = Timing(started, time.monotonic() - tick)
    return Report(results, subject, "ko" if lang == "ko" else "en", timing, strict, listed)


def make_subject(
    prefix: Optional[Place],
    bundle: Optional[Place],
    service_name: Optional[str] = None,
    home: Optional[Path] = None,
) -> Subject:
    """Return what is to be validated; folders that nobody named are found around *home*, the entry's folder.

    Raises:
        UsageProblem: the prefix is not a folder, or there is no such bundle.
    """
    found = (find_prefix(home) if home else None) or default_prefix()
    root = _place(prefix, "--prefix") if prefix else found
    carried = _place(bundle, "--bundle") if bundle else (find_bundle(home) if home else None)
    if _is_no_folder(root):
        raise usage(Text(f"설치 위치가 폴더가 아닙니다: {root}", f"the prefix is not a folder: {root}"))
    if bundle and carried is not None and _is_no_folder(carried, missing=True):
        raise usage(Text(f"번들 폴더가 없습니다: {carried}", f"no such bundle folder: {carried}"))
    return Subject(root, carried, service_name or "")


def _place(named: Place, what: str) -> Path:
    try:
        path = Path(named).expanduser().absolute()
    except (OSError, RuntimeError, ValueError) as error:
        raise usage(Text(f"{what}: 쓸 수 없는 경로입니다", f"{what}: not a usable path")) from error
    if "\0" in str(path):
        raise usage(Text(f"{what}: 쓸 수 없는 경로입니다", f"{what}: not a usable path"))
    return path


def _is_no_folder(path: Path, *, missing: bool = False) -> bool:
    """Tell whether something else than a folder is there; nothing there counts only with *missing*."""
    try:
        return (missing or path.exists()) and not path.is_dir()
    except OSError:
        # Not ours to see: the checks say so one by one.
        return False
