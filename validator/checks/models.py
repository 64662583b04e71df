"""RAGTrace: are the models complete, unchanged, loadable, and do they still give their golden vectors?"""

from __future__ import annotations

from typing import Tuple

from validator.model import Check

CHECKS: Tuple[Check, ...] = ()
