"""INDEX.txt: the first thing in the bundle, in both languages: what is in it, what was removed, how to look."""

from __future__ import annotations

from typing import Dict, List, Mapping, Sequence

from bundle.text import Text, human_size
from recovery.support.pipeline import Member
from recovery.support.sources import Gap

NAME = "INDEX.txt"
HEAD = Text(
    """RAGTrace 지원 자료
==================
이 파일은 폐쇄망 밖의 지원 담당자에게 보낼 수 있도록 만든 것입니다.
들어 있지 않은 것: 문서, 질문과 답변, 데이터베이스, 색인, 벡터, 서명 키, 설정 값.
비밀 값, 사람과 호스트의 이름, 주소는 [secret:1a2b3c4d] 같은 토큰으로 바뀌었습니다. 같은 값은 같은 토큰이며,
토큰에서 원래 값을 알아낼 수 없습니다 (이번 실행에만 쓴 무작위 키).
보내기 전에 확인하는 법: tar -xzf 파일 로 풀면 모두 글 파일입니다. 하나씩 열어 보십시오.
""",
    """RAGTrace support bundle
=======================
This file is made to be sent to a helper outside the closed network.
Not in it: documents, questions and answers, databases, indexes, vectors, signing keys, values of the configuration.
Secrets, names of people and hosts, and addresses were replaced by tokens such as [secret:1a2b3c4d]. The same value has
the same token, and no value can be found out from its token (a random key that was used in this run only).
How to look before you send it: tar -xzf FILE, and open the files one by one; every one of them is text.
""",
)
_INCLUDED = Text(
    "들어 있는 파일 (크기; 빼거나 바꾼 것의 수)", "files in it (size; what was removed or replaced)"
)
_GAPS = Text("읽지 못한 것", "what could not be read")
_NONE = Text("없음", "none")
_NOTHING = Text("뺀 것 없음", "nothing removed")
_DROPPED = Text("가장 오래된 줄부터 잘라 냄 (크기 제한)", "oldest lines dropped (size limit)")
KINDS: Dict[str, Text] = {
    "known-value": Text("설정의 비밀 값", "secret values of the configuration"),
    "content": Text("사람의 글", "words of people"),
    "fields": Text("목록에 없는 항목", "fields that are not on the list"),
    "user": Text("사용자 이름", "names of users"),
    "host": Text("호스트 이름", "names of hosts"),
    "ip": Text("IP 주소", "IP addresses"),
    "mac": Text("MAC 주소", "MAC addresses"),
    "private-key": Text("개인 키", "private keys"),
}
_OTHER = Text("비밀로 보이는 값", "what looks like a secret")


def index(members: Sequence[Member], gaps: Sequence[Gap]) -> Member:
    """Return the index of a bundle with these members."""
    parts: List[str] = []
    for lang in ("ko", "en"):
        parts += [HEAD.to(lang), *lines(members, gaps, lang), "", ""]
    return Member(NAME, "\n".join(parts))


def lines(members: Sequence[Member], gaps: Sequence[Gap], lang: str) -> List[str]:
    """Return the list of members and gaps, for the index and for the preview."""
    made = [_INCLUDED.to(lang) + ":"]
    for member in members:
        dropped = f"; {_DROPPED.to(lang)}" if member.note else ""
        made.append(
            f"  {member.name}  {human_size(len(member.data))}; {removed(member.removed, lang)}{dropped}"
        )
    made.append(_GAPS.to(lang) + ":")
    made += [f"  {gap.name}: {gap.reason.to(lang)}" for gap in gaps] or ["  " + _NONE.to(lang)]
    return made


def removed(counts: Mapping[str, int], lang: str) -> str:
    """Return what was removed from a member, by kind."""
    totals: Dict[str, int] = {}
    for kind, count in counts.items():
        words = KINDS.get(kind, _OTHER).to(lang)
        totals[words] = totals.get(words, 0) + count
    return ", ".join(f"{words} {count}" for words, count in totals.items()) or _NOTHING.to(lang)
