"""A uv that the loopback index does not publish: planned and cached as if it had been fetched.

The lock of this repository pins uv by a digest that only the real wheel has, so tests that build a bundle
without a network plan this one instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from builder.cache import Cache
from builder.plan import Artifact
from bundle.hashing import sha256_bytes

from .wheels import wheel_bytes

FILENAME = "uv-0.0-py3-none-any.whl"
# The builder's command line in a process of its own, with this uv.
BUILDER = (
    "import sys; from builder import cli, planning; from tests.support import carried_uv; "
    "planning.uv_for = carried_uv.uv_for; sys.exit(cli.main())"
)


def data() -> bytes:
    """Return the wheel: its program only says that it is uv."""
    return wheel_bytes("uv", "0.0", {"uv-0.0.data/scripts/uv": "#!/bin/sh\necho uv 0.0\n"})


def uv_for(target: object, pythons: Sequence[str], facts: object = None) -> Artifact:
    """Stand in for `planning.uv_for`."""
    wheel = data()
    return Artifact("uv", "uv", "0.0", FILENAME, f"https://index.invalid/{FILENAME}", sha256_bytes(wheel), len(wheel), (), "uv")  # fmt: skip


def in_cache(cache: Cache) -> None:
    """Put the wheel where a fetch would have put it."""
    scratch = cache.root / "work" / "uv"
    scratch.write_bytes(data())
    cache.admit(scratch, sha256_bytes(data()))
