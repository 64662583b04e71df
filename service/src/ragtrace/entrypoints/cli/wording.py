"""What the modules of arguments share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

# Korean and English in, the one that is asked for out.
Say: TypeAlias = Callable[[str, str], str]
Actions: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
