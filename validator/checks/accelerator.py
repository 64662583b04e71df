"""System: the graphics processor and its driver, where the profile needs one."""

from __future__ import annotations

from typing import Tuple

from validator.model import Check

CHECKS: Tuple[Check, ...] = ()
