"""SYS-011: a release with CUDA packages needs a GPU and a driver; others only note what is there. No real GPU here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.manifest import Package
from tests.validator.fakes import PYTHON, Installation, run
from validator.checks import accelerator
from validator.host import gpu, loader
from validator.model import Status
from validator.subject import Subject

CUDA = (Package("ragtrace", "0.1.0", (PYTHON,)), Package("torch", "2.6.0+cu124", (PYTHON,)))
OLD_MODULE = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version: 12\n"
OPEN_MODULE = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)\n"
)


class Card:
    """A host with one card: kernel folders and an ``nvidia-smi`` of its own."""

    def __init__(self, folder: Path) -> None:
        self.roots = gpu.Roots(folder / "proc", folder / "pci", folder / "dev")
        self.smi = folder / "nvidia-smi"
        for place in (
            self.roots.proc / "gpus" / "0000:01:00.0",
            self.roots.pci / "0000:01:00.0",
            self.roots.dev,
        ):
            place.mkdir(parents=True)
        self.driver(OLD_MODULE)
        (self.roots.proc / "gpus" / "0000:01:00.0" / "information").write_text(
            "Model: \t\t NVIDIA L40S\nIRQ: 5\n"
        )
        self.pci("0x10de", "0x030200")
        for name in ("nvidiactl", "nvidia-uvm", "nvidia0"):
            (self.roots.dev / name).touch()
        self.says("echo 'NVIDIA L40S, 46068, 550.54.15'")

    def driver(self, text: str) -> None:
        (self.roots.proc / "version").write_text(text)

    def pci(self, vendor: str, kind: str) -> None:
        (self.roots.pci / "0000:01:00.0" / "vendor").write_text(vendor + "\n")
        (self.roots.pci / "0000:01:00.0" / "class").write_text(kind + "\n")

    def says(self, script: str) -> None:
        self.smi.write_text("#!/bin/sh\n" + script + "\n")
        self.smi.chmod(0o755)


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    made = Card(tmp_path / "host")
    real = gpu.look
    monkeypatch.setattr(gpu, "look", lambda: real(made.roots, str(made.smi)))
    monkeypatch.setattr(loader, "system_libraries", lambda: {"libcuda.so.1"})
    return made


@pytest.fixture
def cuda(tmp_path: Path) -> Subject:
    return Installation(tmp_path / "prefix", packages=CUDA).subject()


def test_a_release_for_the_processor_needs_no_gpu_and_notes_what_is_there(
    installation: Installation, card: Card
) -> None:
    outcome = run(accelerator.accelerator, installation.subject())
    assert outcome.status is Status.SKIP
    assert outcome.measured == "NVIDIA L40S 46068 MiB, driver 550.54.15"


def test_without_a_gpu_and_without_need_nothing_is_missed(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = gpu.look(gpu.Roots(*(tmp_path / "none",) * 3), "/nonexistent/nvidia-smi")
    monkeypatch.setattr(gpu, "look", lambda: nothing)
    outcome = run(accelerator.accelerator, installation.subject())
    assert outcome.status is Status.SKIP
    assert "no NVIDIA GPU" in outcome.details.en
    assert not outcome.not_installed


@pytest.mark.parametrize("module", [OLD_MODULE, OPEN_MODULE])
def test_a_gpu_with_a_driver_passes(card: Card, cuda: Subject, module: str) -> None:
    card.driver(module)
    outcome = run(accelerator.accelerator, cuda)
    assert outcome.status is Status.PASS, outcome
    assert "driver 5" in outcome.measured


def test_an_old_driver_a_missing_one_and_no_card_fail(card: Card, cuda: Subject) -> None:
    card.driver(OLD_MODULE.replace("550.54.15", "470.256.02"))
    assert "too old: 470.256.02" in run(accelerator.accelerator, cuda).details.en
    (card.roots.proc / "version").unlink()
    assert "no driver is loaded" in run(accelerator.accelerator, cuda).details.en
    card.pci("0x8086", "0x030000")
    outcome = run(accelerator.accelerator, cuda)
    assert outcome.status is Status.FAIL
    assert "no NVIDIA GPU" in outcome.details.en


def test_a_tool_that_fails_or_says_nonsense_is_named(card: Card, cuda: Subject) -> None:
    card.says("echo 'Failed to initialize NVML: Driver/library version mismatch' >&2; exit 18")
    outcome = run(accelerator.accelerator, cuda)
    assert outcome.status is Status.FAIL
    assert "version mismatch" in outcome.details.en
    assert outcome.measured.startswith("NVIDIA L40S, driver")
    card.says("printf '\\033[31mall, is, fine, really\\n'")
    outcome = run(accelerator.accelerator, cuda)
    assert outcome.status is Status.FAIL
    assert "\033" not in str(outcome.to_wire())


def test_a_flood_of_devices_is_cut(card: Card, cuda: Subject) -> None:
    card.says("yes 'NVIDIA " + "x" * 300 + ", 99999999999999999999, 1' | head -5000")
    found = gpu.look()
    assert len(found.devices) == gpu.MOST
    assert all(len(item.name) <= 60 and item.memory_mib == 0 for item in found.devices)


def test_closed_devices_and_a_missing_library_fail(
    card: Card, cuda: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    (card.roots.dev / "nvidia-uvm").unlink()
    assert run(accelerator.accelerator, cuda).status is Status.PASS
    for name in ("nvidiactl", "nvidia0"):
        (card.roots.dev / name).unlink()
    monkeypatch.setattr(loader, "system_libraries", set)
    outcome = run(accelerator.accelerator, cuda)
    assert outcome.status is Status.FAIL
    for word in ("/dev/nvidiactl", "/dev/nvidia0", "libcuda.so.1 is missing"):
        assert word in outcome.details.en


@pytest.mark.parametrize(
    ("name", "version", "major"),
    [
        ("torch", "2.6.0+cu124", 12),
        ("torch", "2.9.0+cu130", 13),
        ("torch", "2.6.0+cpu", None),
        ("nvidia-cublas-cu12", "12.4.5.8", 12),
        ("nvidia_cudnn_cu13", "9.1", 13),
        ("onnxruntime-gpu", "1.20.1", 12),
        ("onnxruntime", "1.20.1", None),
        ("nvidia-ml-py", "12.560", None),
    ],
)
def test_the_need_is_read_from_the_packages(
    tmp_path: Path, name: str, version: str, major: int | None
) -> None:
    subject = Installation(tmp_path / "prefix", packages=(Package(name, version, (PYTHON,)),)).subject()
    assert accelerator.cuda_of(subject) == major
