"""CVSS 3.0 and 3.1 base scores, after the specification by FIRST.org (v3.1, section 7.1 and appendix A)."""

from __future__ import annotations

from ..findings import Severity

_CHANGED = {"N": 0.85, "L": 0.68, "H": 0.5}
_WEIGHTS = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "PR": {"N": 0.85, "L": 0.62, "H": 0.27},
    "UI": {"N": 0.85, "R": 0.62},
    "S": {"U": 0.0, "C": 1.0},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}


def base_score(vector: str) -> float:
    """Return the base score (0.0 to 10.0) of a ``CVSS:3.x/…`` vector; other metric groups are ignored.

    Raises:
        ValueError: another version, a base metric missing, twice or with a value it does not have.
    """
    version, *pairs = vector.split("/")
    if version not in ("CVSS:3.0", "CVSS:3.1"):
        raise ValueError(f"not a CVSS 3 vector: {vector!r}")
    values = [pair.partition(":")[::2] for pair in pairs]
    metrics = {name: value for name, value in values if name in _WEIGHTS}
    if len(metrics) != len(_WEIGHTS) or sum(name in _WEIGHTS for name, _ in values) != len(_WEIGHTS):
        raise ValueError(f"base metrics missing or repeated: {vector!r}")
    if any(value not in _WEIGHTS[name] for name, value in metrics.items()):
        raise ValueError(f"unknown metric value: {vector!r}")
    weight = {name: _WEIGHTS[name][value] for name, value in metrics.items()}
    changed = metrics["S"] == "C"
    if changed:
        weight["PR"] = _CHANGED[metrics["PR"]]
    exploitability = 8.22 * weight["AV"] * weight["AC"] * weight["PR"] * weight["UI"]
    base = 1 - (1 - weight["C"]) * (1 - weight["I"]) * (1 - weight["A"])
    impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15 if changed else 6.42 * base
    if impact <= 0:
        return 0.0
    return _round_up(min((1.08 if changed else 1.0) * (impact + exploitability), 10))


def rating(score: float) -> Severity:
    """Return the qualitative rating (section 5); a score of 0 is still somebody's advisory, thus low."""
    if score >= 9:
        return Severity.CRITICAL
    if score >= 7:
        return Severity.HIGH
    return Severity.MEDIUM if score >= 4 else Severity.LOW


def _round_up(value: float) -> float:
    """Return the smallest number with one decimal that is not below `value`, in integers (appendix A)."""
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10
