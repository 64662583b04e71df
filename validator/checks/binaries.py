"""Packages: do the native libraries that were installed fit this host?"""

from __future__ import annotations

from typing import Tuple

from validator.model import Check

CHECKS: Tuple[Check, ...] = ()
