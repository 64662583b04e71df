"""Who signed, how to check everything with tools that the reviewer already has, and what remains unsaid."""

from __future__ import annotations

from bundle import layout
from bundle.text import Text

from ..subject import Subject
from .markup import Markup, items, join, pairs, table, tag


def signature(subject: Subject) -> Markup:
    """Return who signs the manifest, the sequence number and the expiry."""
    expiry: str | Text = subject.expires or Text("정하지 않음", "none")
    rows: list[tuple[Text, str | Text | Markup]] = [
        (Text("순번", "sequence"), str(subject.sequence)),
        (Text("만료", "expires"), expiry),
    ]
    signers = table(
        [
            Text("서명자", "signer"),
            Text("공개 키 지문", "public key fingerprint"),
            Text("서명 파일", "signature"),
        ],
        (
            [principal, tag("code", fingerprint), tag("code", name)]
            for (principal, fingerprint), name in zip(subject.signers, layout.SIGNATURES, strict=False)
        ),
    )
    return join(
        tag(
            "p",
            Text(
                "서명은 MANIFEST.json 전체에 대한 것이고, MANIFEST.json은 모든 파일의 해시를 담습니다. "
                "아래 지문을 번들과 다른 경로(전화, 대면, 이미 받은 문서)로 받은 지문과 견주십시오: 이 문서는 번들과 함께 왔으므로 스스로를 증명하지 못합니다.",
                "The signature is over all of MANIFEST.json, which names the hash of every file. Compare the "
                "fingerprint below with one you got by another way (telephone, in person, an earlier document): this page came with the bundle and cannot vouch for itself.",
            ),
        ),
        signers,
        pairs(rows),
        tag(
            "p",
            Text(
                "설치 프로그램은 받아들인 가장 높은 순번을 기억하고 더 낮은 것을 거절하며, 만료된 번들을 거절합니다. 아카이브 옆에는 빌드의 모든 입력을 적은 서명된 출처 증명(.intoto.jsonl)이 있습니다.",
                "The installer remembers the highest sequence it accepted and refuses lower ones, and expired bundles. Beside the archive lies a signed provenance statement (.intoto.jsonl) that names every input of the build.",
            ),
            class_="dim",
        ),
    )


def commands(subject: Subject) -> Markup:
    """Return commands of stock tools, to copy."""
    stem = layout.archive_stem(subject.plan.project.version, subject.plan.target.name)
    checks = [
        f"ssh-keygen -Y verify -f ../allowed_signers -I {principal} -n {layout.NAMESPACE} -s {name} < {layout.MANIFEST}"
        for (principal, _), name in zip(subject.signers, layout.SIGNATURES, strict=False)
    ]
    steps = [
        (
            Text("풀기 전에 목록 보기, 그리고 풀기 (아무것도 실행하지 않습니다; 분할·증분 번들은 python3 unpack.py --help)", "List without unpacking, then unpack (nothing is run; volumes and deltas: python3 unpack.py --help)"),
            f"tar tzf {stem}.tar.gz | less\ntar xzf {stem}.tar.gz && cd {stem}",
        ),
        (
            Text(
                "서명 확인: allowed_signers는 번들이 아니라 다른 경로로 받은 것을 쓰고, 출력의 지문을 견주십시오 (OpenSSH 8.2 이상)",
                "Check the signature: use an allowed_signers that you got by another way, not with the bundle, and compare the fingerprint printed (OpenSSH 8.2 or later)",
            ),
            "\n".join(checks),
        ),
        (
            Text("모든 파일의 해시 확인 (macOS: shasum -a 256 -c)", "Check the hash of every file (macOS: shasum -a 256 -c)"),
            f"sha256sum --check --quiet {layout.CHECKSUMS} && echo OK",
        ),
        (
            Text("목록에 없는 파일이 끼어들지 않았는지 확인: 아무것도 나오지 않아야 합니다", "Check that nothing was slipped in: this must print nothing"),
            f"diff <(cut -c67- {layout.CHECKSUMS} | LC_ALL=C sort) <(find . ! -type d ! -path ./{layout.CHECKSUMS} | cut -c3- | LC_ALL=C sort)",
        ),
        (
            Text("Windows PowerShell에서 해시 확인: 아무것도 나오지 않아야 합니다", "The hashes in Windows PowerShell: this must print nothing"),
            f"Get-Content {layout.CHECKSUMS} | ForEach-Object {{ $h, $f = $_ -split '  ', 2; "
            "if ((Get-FileHash -LiteralPath $f).Hash -ne $h) { $f } }",
        ),
        (
            Text("설치하지 않고 번들 자체의 검사만 실행", "Run the bundle's own checks without installing"),
            "python3 04_Scripts/install.py --verify-only --allowed-signers ../allowed_signers",
        ),
    ]  # fmt: skip
    return join(*(join(tag("h3", f"{number}. ", title), tag("pre", tag("code", words))) for number, (title, words) in enumerate(steps, start=1)))  # fmt: skip


def limits(subject: Subject) -> Markup:
    """Return what nobody should read into this page."""
    said = [
        Text(
            "취약점 목록은 적힌 시각까지 그 출처가 알던 것입니다. 이후의 취약점, 알려지지 않은 취약점, 일부러 심은 코드는 알 수 없습니다.",
            "The advisories are what that source knew at the time given. Later and undisclosed vulnerabilities, and code planted on purpose, it cannot know.",
        ),
        Text(
            "휠 안에 정적으로 링크된 라이브러리는 휠이 스스로 SBOM을 담은 경우에만 보이며, 취약점 조회는 파이썬 패키지만 대상으로 합니다.",
            "Libraries linked into wheels are seen only where the wheel carries an SBOM of its own, and advisories were asked for Python packages only.",
        ),
        Text(
            "라이선스는 패키지가 밝힌 것과 원문의 문구를 옮긴 것입니다. 법률 판단이 아니며, 라이선스의 양립 여부를 따지지 않습니다.",
            "Licences are what packages state and what their texts say. That is no legal judgement, and compatibility was not examined.",
        ),
        Text(
            "이 문서는 서명된 번들의 일부이므로 서명을 확인하기 전에는 이 문서의 내용도 믿을 수 없습니다.",
            "This page is part of the signed bundle: until the signature is checked, nothing on it can be believed.",
        ),
        Text(
            "모델이 무엇을 학습했고 어떻게 답하는지는 파일의 형식과 해시로 알 수 없습니다.",
            "What a model learned and how it answers cannot be told from the format and hash of its files.",
        ),
        Text(
            "색인과 모델 저장소가 배포한 파일이 그 저자의 것이라는 점은 잠금 파일의 해시가 적힐 때의 배포처를 믿는 것입니다.",
            "That a file is its author's is as true as the index or hub was when the lock's hash was written.",
        ),
    ]
    if any(item.kind == "interpreter" for item in subject.plan.artifacts):
        said.append(
            Text(
                "파이썬 인터프리터 묶음은 열지 않았습니다: 해시만 적고 내용과 라이선스는 살피지 않았습니다.",
                "The interpreter archive was not opened: its hash is stated, its contents and licences are not.",
            )
        )
    return items(said)
