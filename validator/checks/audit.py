"""Security: the installer's audit log and trust files are whole."""

from __future__ import annotations

from typing import Tuple

from validator.model import Check

CHECKS: Tuple[Check, ...] = ()
