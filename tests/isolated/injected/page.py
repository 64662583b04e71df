"""`python -m tests.isolated.injected.page`: write the table of defects into docs/explanation/defects.md."""

from __future__ import annotations

from pathlib import Path

from .judging import expected, spoken
from .table import DEFECTS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "defects.md"
HEAD = """# 찾아내는 결함 / Defects that are found

설치가 끝난 정상 호스트(데비안 12, systemd, 네트워크 없음, 실제 스타터 번들과 한국어 문서)에 아래 결함을 하나씩 넣고 검증기를 실행합니다. 표의 검사만, 표의 상태로 바뀌어야
하며 다른 검사는 하나도 바뀌지 않아야 합니다. "복구"가 있는 줄은 `recovery_assistant.py --diagnosis report.json --yes`가 고친 뒤 검증기가 다시 EXCELLENT를
말해야 하고, 없는 줄은 사람이 원인을 없애면 EXCELLENT로 돌아옵니다. 이 표는 시험(`tests/isolated/injected/table.py`)에서 만들어지며, 다르면 시험이 실패합니다.

---

Each defect is put into a healthy installed host (Debian 12, systemd, no network, the real starter bundle with Korean
documents in it), one after the other. Exactly the checks of its row change, to the statuses of its row, and no other
check does. Where the last column says *mended*, `recovery_assistant.py --diagnosis report.json --yes` ends with 0 and the validator says EXCELLENT
again; elsewhere somebody has to remove the cause, and then it does. Checks that measure speed are left out; the outbound
check (SEC-009) is run where something is planted for it. A part of the table is also run on Debian 11 and 13.

Made from `tests/isolated/injected/table.py` by `python -m tests.isolated.injected.page`; a test compares the two, and
`make test-defects` tries every row, two hosts at a time. With `RAGTRACE_DEFECTS=all` every row that says so is mended; without it, as CI
runs it, two in three of those are undone instead that are mended by making the release again.

The clock of a host that is booted in a container is that of the machine below it. For the rows about the clock, the interpreter
of the validator and of all that it starts is told of another day (`tests/support/clock`); the service keeps the real one.
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for area in dict.fromkeys(defect.area for defect in DEFECTS.values()):
        parts.append(
            f"\n## {area.capitalize()}\n\n| defect | what is wrong | found by | |\n|---|---|---|---|\n"
        )
        for name, defect in DEFECTS.items():
            if defect.area == area:
                found = spoken(expected(defect.finds)) or "nothing: it is harmless"
                ending = "mended" if defect.mended else ""
                parts.append(f"| `{name}` | {defect.what.en} · {defect.what.ko} | {found} | {ending} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
