"""What is said where contents are missing or damaged: which, and what to bring."""

from __future__ import annotations

from typing import List, Optional, Sequence

from bundle.delta import Delta
from bundle.errors import IntegrityError
from bundle.manifest import FileEntry, Manifest
from bundle.text import Text, human_size

# A delta on a host without its base lacks thousands; whoever reads that needs the base's name, not the list.
_SHOWN = 50
UNCHANGED = Text("설치된 릴리스는 그대로입니다", "the installed release is as it was")


def changed(where: str) -> IntegrityError:
    """Return the error for a file of a carried-in tree that is not what its manifest says."""
    return IntegrityError(
        Text("번들의 파일이 선언된 내용과 다릅니다", "a file of the bundle is not what was declared"),
        where=where,
        hint=Text("번들을 다시 반입하십시오", "carry the bundle in again"),
    )


def lines_of(entries: Sequence[FileEntry], most: Optional[int] = None) -> List[Text]:
    """Return one line for each content, the largest first, and how many more there are."""
    ordered = sorted(entries, key=lambda entry: (-entry.size, entry.path))
    shown = ordered if most is None else ordered[:most]
    lines = [
        Text(*[f"{entry.path} ({human_size(entry.size)}, SHA-256 {entry.sha256[:12]})"] * 2)
        for entry in shown
    ]
    if len(entries) > len(shown):
        rest = len(entries) - len(shown)
        lines.append(Text(f"그 밖에 {rest}건", f"and {rest} more"))
    return lines


def base_missing(
    manifest: Manifest, entries: Sequence[FileEntry], deltas: Sequence[Delta], names: Sequence[str]
) -> IntegrityError:
    """Return the error for contents that deltas leave out and the store does not have, or not intact."""
    bases = [delta.base.text() for delta in deltas[:1]]
    total = human_size(sum(entry.size for entry in entries))
    target = f"{manifest.version} {manifest.target.name}"
    wanted = Text(
        "".join(f" 이 델타의 기준은 {base.ko}입니다." for base in bases),
        "".join(f" The delta was made against {base.en}." for base in bases),
    )
    return IntegrityError(
        Text(
            f"델타에 들어 있지 않은 내용 {len(entries)}건({total})이 저장소에 없거나 손상되었습니다.{wanted.ko}",
            f"{len(entries)} content(s) ({total}) that the delta leaves out are not in the store, or damaged there."
            f"{wanted.en}",
        ),
        where=", ".join(names),
        details=lines_of(entries, _SHOWN),
        state=UNCHANGED,
        hint=Text(
            f"{target} 순번 {manifest.sequence}의 전체 번들을 반입하여 --bundle로 지정하거나, "
            "빠진 델타를 오래된 것부터 --delta로 함께 지정하십시오",
            f"carry in the full bundle {target} sequence {manifest.sequence} and give it with --bundle, "
            "or give the deltas in between too, oldest first, each with --delta",
        ),
    )
