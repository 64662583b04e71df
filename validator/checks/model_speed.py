"""Performance of models and retrieval, against the profile and this host's own earlier runs."""

from __future__ import annotations

from typing import Tuple

from validator.model import Check

CHECKS: Tuple[Check, ...] = ()
