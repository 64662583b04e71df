"""The profiles that ship allow exactly the builds that their locks need."""

from __future__ import annotations

import pytest

from builder import inputs, planning
from builder.plan import BUILT
from builder.sources.permission import permitted, refusals

SERVICE = inputs.load_project(inputs.REPOSITORY / "service")
PROFILES = [
    profile
    for profile in map(
        inputs.load_profile, sorted(p.stem for p in (inputs.MANIFESTS / "profiles").glob("*.toml"))
    )
    if profile.project == SERVICE.name
]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_profile_allows_what_it_needs_and_nothing_else(profile: inputs.Profile) -> None:
    request = planning.Request(
        SERVICE, profile, profile.targets[0], profile.pythons, profile.extras, profile.groups
    )
    (plan,) = planning.make_plans([request])
    assert not refusals(plan)
    assert {item.name for item in plan.of_kind(*BUILT)} == permitted(profile.allow_build)
