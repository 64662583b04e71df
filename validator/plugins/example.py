"""A plugin to start from: copy it to <prefix>/config/checks/, change the id and the rules, run the validator.

It imports nothing of the validator. It may use the standard library only; a plugin that is an entry point of the
service's environment may use what is installed there.
"""

from __future__ import annotations

import os
import shutil
from typing import Any, Dict

NEEDED_GB = 1


def free_space(context: Dict[str, Any]) -> Dict[str, Any]:
    """Say whether the data folder has room; context: prefix, generation, config, data, host, port."""
    folder = context["data"]
    if not os.path.isdir(folder):
        return {
            "status": "skip",
            "details": {"ko": f"{folder}가 없습니다", "en": f"there is no {folder}"},
        }
    free_gb = shutil.disk_usage(folder).free / 1e9
    enough = free_gb >= NEEDED_GB
    return {
        "status": "pass" if enough else "warn",
        "details": {
            "ko": "공간이 충분합니다" if enough else "공간이 부족합니다",
            "en": "there is room" if enough else "there is little room",
        },
        "measured": f"{free_gb:.1f} GB",
        "expected": f">= {NEEDED_GB} GB",
        "cause": None if enough else {"ko": "문서가 늘었습니다", "en": "the documents have grown"},
    }


CHECKS = [
    {
        "id": "ORG-001",
        "category": "System",
        "title": {"ko": "우리 회사의 공간 규칙", "en": "Our own rule for space"},
        "severity": "medium",
        "timeout_s": 5,
        "run": free_space,
    },
]
