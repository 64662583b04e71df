"""System: the graphics processor and its driver, where the release needs one."""

from __future__ import annotations

import re
from typing import List, Optional, Tuple

from bundle.text import Text
from validator.host import facts, gpu, loader
from validator.model import Category, Check, Outcome, Severity, Status, check, passed
from validator.subject import Subject

# A package built for CUDA carries it in its version (``2.6.0+cu124``) or in its name (``nvidia-cublas-cu12``).
_IN_VERSION = re.compile(r"\+cu(\d{2})\d")
_IN_NAME = re.compile(r"nvidia-[a-z0-9-]+-cu(\d{2})\Z")
# What takes CUDA without saying which: the oldest that its releases of these years accept.
_BY_NAME = {"onnxruntime-gpu": 12, "vllm": 12, "cupy-cuda12x": 12, "cupy-cuda13x": 13}
# The oldest driver for every minor version of a CUDA (CUDA Toolkit Release Notes, "CUDA Toolkit and Minimum Required
# Driver Version for CUDA Minor Version Compatibility", Linux).
OLDEST_DRIVER = {11: (450, 80), 12: (525, 60), 13: (580,)}


@check(
    "SYS-011",
    Category.SYSTEM,
    Text("그래픽 프로세서와 드라이버", "Graphics processor and driver"),
    severity=Severity.HIGH,
    platforms=("linux",),
    timeout_s=20,
)
def accelerator(subject: Subject) -> Outcome:
    """A release that carries CUDA packages finds an NVIDIA GPU, a driver new enough for them, and may use it.

    Other releases run on the processor: what is there is only noted. The driver's own library (``libcuda.so.1``)
    belongs to the host and is never carried.
    """
    wanted = cuda_of(subject)
    found = gpu.look()
    if wanted is None:
        what = Text(f"필요하지 않습니다 ({found.text})", f"not needed by this release ({found.text})")
        return Outcome(Status.SKIP, what, found.text)
    oldest = OLDEST_DRIVER.get(wanted, OLDEST_DRIVER[max(OLDEST_DRIVER)])
    expected = f"CUDA {wanted}: NVIDIA GPU, driver >= {'.'.join(map(str, oldest))}, libcuda.so.1"
    problems = _problems(found, oldest)
    if not problems:
        return passed(Text("사용할 수 있습니다", "can be used"), measured=found.text, expected=expected)
    what = Text("; ".join(item.ko for item in problems), "; ".join(item.en for item in problems))
    why = Text(
        "이 릴리스는 CUDA 패키지를 담고 있습니다. 관리자가 드라이버를 설치하거나 CPU용 번들을 반입해야 합니다",
        "this release carries CUDA packages: an administrator installs the driver, or a bundle for CPUs is carried in",
    )
    return Outcome(Status.FAIL, what, found.text, expected, why, "right-bundle")


def cuda_of(subject: Subject) -> Optional[int]:
    """Return the major version of CUDA that the manifest's packages were built for; none where they need none."""
    majors: List[int] = []
    for item in subject.manifest.packages if subject.manifest is not None else ():
        match = _IN_VERSION.search(item.version) or _IN_NAME.match(item.name.lower().replace("_", "-"))
        if match:
            majors.append(int(match.group(1)))
        elif item.name.lower() in _BY_NAME:
            majors.append(_BY_NAME[item.name.lower()])
    return max(majors) if majors else None


def _problems(found: gpu.Found, oldest: Tuple[int, ...]) -> List[Text]:
    if not found.driver:
        if found.cards:
            return [Text("GPU는 있지만 드라이버가 없습니다", "there is a GPU, but no driver is loaded")]
        return [Text("NVIDIA GPU가 없습니다", "there is no NVIDIA GPU")]
    problems = []
    if facts.numbers(found.driver) < oldest:
        problems.append(
            Text(f"드라이버가 오래되었습니다: {found.driver}", f"the driver is too old: {found.driver}")
        )
    if found.complaint:
        # Most often the driver was replaced without a restart of the host.
        text = found.complaint
        problems.append(Text(f"nvidia-smi 실패: {text}", f"nvidia-smi failed: {text}"))
    if found.closed:
        names = ", ".join(found.closed)
        problems.append(Text(f"장치 파일을 쓸 수 없습니다: {names}", f"device files cannot be used: {names}"))
    if "libcuda.so.1" not in loader.system_libraries():
        problems.append(Text("libcuda.so.1이 없습니다", "libcuda.so.1 is missing"))
    return problems


CHECKS: Tuple[Check, ...] = (accelerator,)
