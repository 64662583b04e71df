"""What a restart would compile is compiled before it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from installer import bytecode, settings
from installer.paths import Prefix
from installer.service import define
from tests.support.bundles import Bundle

from .site import Site

Make = Callable[..., Bundle]


def compiled(prefix: Prefix, generation: str) -> set[str]:
    folder = bytecode.folder_of(prefix, generation)
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.pyc")}


def test_an_upgrade_compiles_what_the_running_release_uses(site: Site, bundle_for: Make) -> None:
    first = bundle_for()
    site.install(first)
    used = compiled(site.prefix, first.generation)
    assert any("ragtrace" in name for name in used)
    later = bundle_for(version="2.0.0", sequence=2)
    done = site.install(later, "--lang", "en")
    lines = (done.out + done.err).splitlines()
    step, stop = (
        next(n for n, line in enumerate(lines) if text in line)
        for text in ("] prepare the first", "] start the service")
    )
    assert done.code == 0 and step < stop
    # The service has compiled by now what it has loaded; without it, it is the step alone.
    bytecode.forget(site.prefix, later.generation)
    assert not compiled(site.prefix, later.generation)
    definition = define(site.prefix, later.generation, settings.read(site.prefix))
    assert definition is not None and bytecode.prepare(site.prefix, first.generation, definition, 2)
    assert used <= compiled(site.prefix, later.generation)


def test_a_release_takes_its_bytecode_along(site: Site, bundle_for: Make) -> None:
    first = bundle_for()
    site.install(first)
    later = bundle_for(version="2.0.0", sequence=2)
    site.install(later)
    site.run("--prune", "--keep", "0")
    assert not bytecode.folder_of(site.prefix, first.generation).exists()
    assert compiled(site.prefix, later.generation)


def test_a_link_on_the_way_to_the_bytecode_is_not_followed(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    first = bundle_for()
    site.install(first)
    folder = bytecode.folder_of(site.prefix, first.generation)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / first.generation).mkdir(parents=True)
    os.rename(folder.parent, folder.parent.with_name("aside"))
    os.symlink(elsewhere, folder.parent)
    bytecode.forget(site.prefix, first.generation)
    assert (elsewhere / first.generation).is_dir()


def test_names_in_the_cache_choose_among_the_release_s_own_files_only(site: Site, bundle_for: Make) -> None:
    first = bundle_for()
    site.install(first)
    cache = bytecode.folder_of(site.prefix, first.generation)
    (cache / "venv" / "no_such_module.cpython-311.pyc").write_bytes(b"")
    os.symlink("/usr", cache / "venv" / "away")
    later = bundle_for(version="2.0.0", sequence=2)
    assert site.install(later).code == 0
    assert not [
        name for name in compiled(site.prefix, later.generation) if "away" in name or "no_such" in name
    ]
