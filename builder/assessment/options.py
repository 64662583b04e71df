"""The options by which a build is told whom to ask about vulnerabilities and what to make of the answer."""

from __future__ import annotations

import argparse
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.text import Text, wording

from .findings import LEVELS

if TYPE_CHECKING:
    from .audit import Settings

SOURCES = ("pypi", "osv", "safety", "none")


def auditing(lang: str) -> argparse.ArgumentParser:
    """Return the options about advisories, as a parent of the commands that assess."""
    text = wording(lang)
    parent = argparse.ArgumentParser(add_help=False)
    add = parent.add_argument
    add(
        "--audit",
        choices=SOURCES,
        default="pypi",
        help=text(
            "알려진 취약점을 물을 곳: pypi·osv는 pip-audit, safety는 계정 필요, none은 묻지 않음 (기본: pypi)",
            "whom to ask about known vulnerabilities: pypi and osv by pip-audit, safety needs an account, none "
            "asks nobody (default: pypi)",
        ),
    )
    add(
        "--osv-url",
        default=None,
        metavar="URL",
        help=text("OSV 질의 주소", "where OSV answers queries"),
    )
    add(
        "--advisories",
        type=Path,
        default=None,
        metavar="FILE",
        help=text(
            "묻지 않고 이전 빌드의 advisories.json 을 씀",
            "ask nobody; use the advisories.json of an earlier build",
        ),
    )
    add(
        "--fail-on",
        choices=LEVELS,
        default="none",
        help=text(
            "이 심각도 이상이거나 답이 없으면 빌드를 멈춤 (기본: none)",
            "stop at findings this severe or worse, and at packages without an answer (default: none)",
        ),
    )
    add(
        "--waivers",
        type=Path,
        default=None,
        metavar="FILE",
        help=text(
            "사유와 만료일이 있는 면제 (기본: manifests/waivers.toml)",
            "waivers with reason and expiry (default: manifests/waivers.toml)",
        ),
    )
    return parent


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the audit's settings.

    Raises:
        UsageProblem: a level to fail on, and nobody to ask.
    """
    from bundle.errors import UsageProblem

    from .advisories.interface import OSV_URL
    from .audit import Settings

    if options.audit == "none" and options.advisories is None and options.fail_on != "none":
        raise UsageProblem(
            Text(
                "--fail-on 에는 물을 곳이나 --advisories 가 필요합니다",
                "--fail-on needs somebody to ask, or --advisories",
            ),
            hint=Text("--audit none 을 빼십시오", "leave out --audit none"),
        )
    asked_by_pip_audit = options.audit in ("pypi", "osv")
    settings = Settings(
        source="pip-audit" if asked_by_pip_audit else options.audit,
        service=options.audit if asked_by_pip_audit else "pypi",
        osv_url=options.osv_url or os.environ.get("PIP_AUDIT_OSV_URL") or OSV_URL,
        snapshot=options.advisories,
        # Whoever insists on an answer has probably just mended the network: do not repeat a failure.
        retry_after=Settings.retry_after if options.fail_on == "none" else timedelta(0),
    )
    return settings
