"""The NVIDIA processors of this host and their driver, as the kernel and ``nvidia-smi`` tell of them.

Nothing is loaded and no device is opened. Every text comes from outside and is cut to what a finding can show.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Iterator, NamedTuple, Tuple

from validator.host import commands
from validator.subject import Unreadable, read_limited

NVIDIA = "0x10de"
SMI_TIMEOUT_S = 15.0
MOST = 16
_DRIVER = re.compile(r"NVRM version:.*?\s(\d{3,4}(?:\.\d{1,4}){1,2})\s")
_QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")


class Roots(NamedTuple):
    """Where the kernel tells of devices; tests give folders of their own."""

    proc: Path = Path("/proc/driver/nvidia")
    pci: Path = Path("/sys/bus/pci/devices")
    dev: Path = Path("/dev")


class Device(NamedTuple):
    """One processor: its name and memory in MiB (0: not known)."""

    name: str
    memory_mib: int


class Found(NamedTuple):
    """What is there. ``complaint`` is what ``nvidia-smi`` said when it failed; ``closed`` what may not be opened."""

    cards: int
    driver: str
    devices: Tuple[Device, ...]
    closed: Tuple[str, ...]
    complaint: str

    @property
    def text(self) -> str:
        """Return it in one line."""
        if not self.cards and not self.driver:
            return "no NVIDIA GPU"
        names = ", ".join(
            item.name + (f" {item.memory_mib} MiB" if item.memory_mib else "") for item in self.devices
        )
        return f"{names or f'{self.cards} NVIDIA card(s)'}, driver {self.driver or 'missing'}"


HOST = Roots()


def look(roots: Roots = HOST, program: str = "") -> Found:
    """Return what this host has; ``nvidia-smi`` is asked only where the driver is loaded."""
    driver = _driver(roots.proc / "version")
    cards = sum(1 for _ in _cards(roots.pci))
    devices = tuple(_devices(roots.proc / "gpus"))
    complaint = ""
    program = program or shutil.which("nvidia-smi") or ""
    if driver and program:
        done = commands.run([program, *_QUERY], timeout_s=SMI_TIMEOUT_S, tied=True)
        asked = tuple(_parsed(done.output)) if done.code == 0 else ()
        complaint = "" if asked else _plain(done.complaint or "nvidia-smi lists no device", 200)
        devices = asked or devices
    return Found(cards, driver, devices, tuple(_closed(roots.dev)) if driver else (), complaint)


def _driver(path: Path) -> str:
    try:
        match = _DRIVER.search(read_limited(path, 4096).decode("utf-8", "replace") + " ")
    except Unreadable:
        return ""
    return match.group(1) if match else ""


def _cards(pci: Path) -> Iterator[Path]:
    """Yield display and 3D controllers of NVIDIA (PCI class 03), whether a driver has them or not."""
    try:
        places = sorted(pci.iterdir())
    except OSError:
        return
    for place in places:
        try:
            vendor = read_limited(place / "vendor", 64).strip()
            kind = read_limited(place / "class", 64).strip()
        except Unreadable:
            continue
        if vendor == NVIDIA.encode() and kind.startswith(b"0x03"):
            yield place


def _devices(gpus: Path) -> Iterator[Device]:
    try:
        places = sorted(gpus.iterdir())[:MOST]
    except OSError:
        return
    for place in places:
        try:
            text = read_limited(place / "information", 4096).decode("utf-8", "replace")
        except Unreadable:
            continue
        match = re.search(r"^Model:\s*(.+)$", text, re.MULTILINE)
        yield Device(_plain(match.group(1), 60) if match else "NVIDIA GPU", 0)


def _parsed(output: str) -> Iterator[Device]:
    for line in output.splitlines()[:MOST]:
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 3 and parts[0]:
            yield Device(_plain(parts[0], 60), int(parts[1]) if re.match(r"\d{1,9}\Z", parts[1]) else 0)


def _closed(dev: Path) -> Iterator[str]:
    """Yield the device files that every use of a processor opens, where they are missing or closed to this user."""
    if not os.access(dev / "nvidiactl", os.R_OK | os.W_OK):
        yield "/dev/nvidiactl"
    # Made when CUDA is first used (nvidia-modprobe): that it is not there yet says nothing.
    if (dev / "nvidia-uvm").exists() and not os.access(dev / "nvidia-uvm", os.R_OK | os.W_OK):
        yield "/dev/nvidia-uvm"
    if not any(re.match(r"nvidia\d+\Z", name) for name in (os.listdir(dev) if dev.is_dir() else ())):
        yield "/dev/nvidia0"


def _plain(text: str, length: int) -> str:
    return "".join(character for character in text if character.isprintable())[:length].strip()
