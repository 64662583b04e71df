"""``unpack.py``: the stand-alone file that goes with an archive, made from our own `bundle` package.

A ZIP archive that Python runs by its name (zipapp; docs/adr/0015): the same modules that the installer
uses, said once. Nothing in it is compressed, so a reviewer reads the code in any viewer, and identical
sources give identical bytes with every version of zlib.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from bundle import layout
from bundle.volumes import signature_names

from ..inputs import REPOSITORY
from ..sealing.signing import Signer
from . import output as out

NAME = "unpack.py"
_DATE = (2020, 1, 1, 0, 0, 0)
_README = """\
#!/usr/bin/env python3
# RAGTrace unpack.py - puts a carried-in bundle together again: python3 unpack.py --help
#
# It joins volumes, applies deltas, and verifies every byte against the signed manifest before it counts.
# It needs Python 3.9 or newer and nothing else. It is a ZIP archive of plain Python sources (package
# "bundle"): `unzip -l unpack.py` lists them, `unzip -p unpack.py bundle/unpacking.py` shows one.
# Its own signature: ssh-keygen -Y verify -f allowed_signers -I <signer> -n {namespace} -s {signature} < {name}
# Without it: cat <archive>.0* | tar xz joins volumes too; the installer verifies everything again.
#
# 반입한 볼륨을 이어 붙이고 델타를 적용하며, 서명된 매니페스트와 모든 바이트를 비교합니다.
# Python 3.9 이상만 있으면 됩니다: python3 unpack.py --lang ko --help
"""
_MAIN = '''\
"""Check the interpreter, then hand over. The syntax of this file is valid for every Python, old ones too."""

import sys

if sys.version_info < (3, 9):
    sys.stderr.write("error: Python 3.9 or newer is needed, this is %d.%d\\n" % sys.version_info[:2])
    sys.exit(12)

from bundle.unpack_cli import main

sys.exit(main())
'''


def unpack_py() -> bytes:
    """Return the bytes of ``unpack.py``."""
    head = _README.format(
        namespace=layout.VOLUMES_NAMESPACE, signature=signature_names(NAME)[0], name=NAME
    ).encode("utf-8")
    members = {"__main__.py": _MAIN.encode("utf-8")}
    for path in sorted((REPOSITORY / "bundle").glob("*.py")):
        members[f"bundle/{path.name}"] = path.read_bytes()
    buffer = io.BytesIO()
    buffer.write(head)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(members.items()):
            member = zipfile.ZipInfo(name, _DATE)
            member.create_system, member.external_attr = 3, 0o100644 << 16
            archive.writestr(member, data)
    return buffer.getvalue()


def write_unpacker(output: Path, keys: Sequence[Signer]) -> Path:
    """Write ``unpack.py`` and its signatures into `output`.

    Raises:
        SpaceError: the output cannot be written.
    """
    data = unpack_py()
    with out.whole_or_nothing(output, NAME) as begin:
        begin(NAME).stream.write(data)
        for name, key in zip(signature_names(NAME), keys, strict=False):
            begin(name).stream.write(key.sign(data, layout.VOLUMES_NAMESPACE))
    return output / NAME
