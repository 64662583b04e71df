"""Every check can be run alone: the child that runs it loads the modules in which it finds it."""

from __future__ import annotations

from validator.registry import MODULES, load


def test_every_check_is_defined_in_a_registered_module() -> None:
    strays = [item.id for item in load() if item.function.__module__ not in MODULES]
    assert not strays


def test_every_module_lists_only_its_own_checks() -> None:
    for name in MODULES:
        assert {item.function.__module__ for item in load([name])} <= {name}
