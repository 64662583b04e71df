"""Several isolated hosts and a control host that reaches them by ssh, although none of them has a network.

The ssh client's ProxyCommand enters the host and starts its sshd for that one connection (`sshd -i`), so that
the connection, the file transfer and the rights are those of real hosts. Root and ordinary users both work.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .host_root import HostKind, layered_root, release
from .machine import IsolatedHost
from .tools import HarnessError, cache_home, run_here

# What sshd needs beyond the template, and the Debian packages it comes from.
SSHD_PACKAGES = ("openssh-server", "openssh-sftp-server", "libwrap0")
SSHD_FILES = ("/usr/sbin/sshd", "/usr/lib/openssh/sftp-server", "/libwrap.so.0")
OPERATOR, PASSWORD = "keeper", "correct horse battery staple"


class Fleet:
    """Boot some hosts at once, reach them by Ansible, and leave nothing mounted or running."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Take the run's folder; every host gets a folder of its own in it."""
        self.folder = folder
        self.names = tuple(names)
        self.keys = folder / "keys"
        self.hosts: dict[str, IsolatedHost] = {}

    def __enter__(self) -> Fleet:
        """Make the roots and boot all hosts."""
        try:
            self._make_keys()
            for name in self.names:
                home = self.folder / f"{self.folder.name}{name}"
                root = layered_root(HostKind(hostname=name), home / "root")
                self._give_sshd(root)
                self.hosts[name] = IsolatedHost(root, home / "console.log")
                self.hosts[name].boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing."""
        self.close()

    def close(self) -> None:
        """Pull the plugs and unmount the roots."""
        for host in self.hosts.values():
            host.close()
        release(self.folder)

    def _make_keys(self) -> None:
        self.keys.mkdir()
        for name in ("host", "client"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.keys / name)]
            run_here(words).expect()
        public = (self.keys / "host.pub").read_text()
        (self.keys / "known_hosts").write_text("".join(f"{name} {public}" for name in self.names))

    def _give_sshd(self, root: Path) -> None:
        """Put sshd, its keys and its users into a root that is not running."""
        for source in _sshd():
            # /lib is a link to /usr/lib here, so a library may keep its old place.
            target = root / "usr" / str(source).partition("/unpacked/")[2].removeprefix("usr/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        for name in ("host", "host.pub"):
            shutil.copy2(self.keys / name, root / "etc" / f"sshd-{name}")
        (root / "etc/sshd-one").write_text(
            "HostKey /etc/sshd-host\nSubsystem sftp /usr/lib/openssh/sftp-server\nUsePAM no\n"
            "PasswordAuthentication no\nPermitRootLogin prohibit-password\nAuthorizedKeysFile /etc/sshd-client\n"
        )
        shutil.copy2(self.keys / "client.pub", root / "etc/sshd-client")
        script = f"""useradd -r -d /run/sshd -s /usr/sbin/nologin sshd
            useradd -m -s /bin/sh {OPERATOR}
            printf '%s\\n' 'root:{PASSWORD}' '{OPERATOR}:{PASSWORD}' | chpasswd"""
        run_here(["chroot", str(root), "sh", "-ec", script]).expect()

    def inventory(
        self, path: Path, variables: Mapping[str, Any], hosts: Mapping[str, Mapping[str, Any]]
    ) -> Path:
        """Write an inventory of all hosts, or of those named, in the form that Ansible reads as YAML."""
        entries = {name: {**self._connection(name), **hosts.get(name, {})} for name in self.names}
        document = {"ragtrace": {"vars": dict(variables), "hosts": entries}}
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")
        return path

    def _connection(self, name: str) -> dict[str, Any]:
        leader = self.hosts[name].leader
        enter = (
            f"nsenter -t {leader} -a sh -c 'mkdir -p /run/sshd && exec /usr/sbin/sshd -i -f /etc/sshd-one'"
        )
        return {
            "ansible_host": name,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.keys / "client"),
            "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={self.keys}/known_hosts "
            f'-o ProxyCommand="{enter}"',
        }


def _sshd() -> list[Path]:
    """Return the files of sshd, fetched from the distribution once."""
    folder = cache_home() / "sshd"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # apt's own user may write here, else it warns.
        run_here(["apt-get", "download", *SSHD_PACKAGES], cwd=folder, timeout=300).expect()
        for package in sorted(folder.glob("*.deb")):
            run_here(["dpkg-deb", "-x", str(package), str(folder / "unpacked")]).expect()
        (folder / "ready").touch()
    files = [path for path in sorted((folder / "unpacked").rglob("*")) if str(path).endswith(SSHD_FILES)]
    if len(files) != len(SSHD_FILES):
        raise HarnessError(f"sshd is not in its packages: {files}")
    return files
