"""A site per test, and bundles shared by the tests of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.signing import SigningKey
from tests.support.bundles import Bundle, make_bundle

from .site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty place with a space and Korean in its name; whatever was started there is ended."""
    made = Site(tmp_path / "설치 위치")
    yield made
    made.stop()


@pytest.fixture(scope="session")
def builder_key() -> SigningKey:
    """The key that signs the bundles of this session."""
    return SigningKey(Ed25519PrivateKey.generate(), "builder@example")


@pytest.fixture
def bundle_for(site: Site, tmp_path: Path, builder_key: SigningKey) -> Callable[..., Bundle]:
    """Make bundles for the site's port, one folder each."""
    count = iter(range(100))

    def make(**description: Any) -> Bundle:
        folder = tmp_path / f"bundle-{next(count)}"
        return make_bundle(folder, **{"port": site.port, "key": builder_key, **description})

    return make
