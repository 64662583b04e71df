"""The table of defects: what is broken, which checks must see it and say what, and whether the assistant mends it.

`docs/explanation/defects.md` is made of it (`python -m tests.isolated.injected.page`).  An expectation names every
check that says something else than on the healthy host; checks that are not run in a trial do not count.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bundle.text import Text

from . import files, service, surroundings
from .files import Injection, package, prefix, release
from .secret import SECRET

LIBRARY = "tantivy/*.so"
BGE = "models/bge-m3"
OUTBOUND = """
import socket
try:
    socket.create_connection(("192.0.2.44", 443), timeout=0.2).close()
except OSError:
    pass
"""
AT_START = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(('192.0.2.44', 443))\n"
PRIVATE_KEY = (
    f"-----BEGIN OPENSSH PRIVATE KEY-----\n{'b3BlbnNzaC1rZXkt' * 5}\n-----END OPENSSH PRIVATE KEY-----\n"
)
SILENT = "fail RAG-004; skip RAG-005 RAG-007"
"""What every defect shows that keeps the service from answering."""
DOWN = f"{SILENT}; skip SEC-005 SEC-006 RAG-009"
"""The same, and there is no process to look at."""
PLUGIN = "RTS-001 RTS-002 RTS-003 RTS-004 RTS-005 RTS-006 RTS-007 RTS-008 RTS-009 RTS-010"
"""The service's own checks: where its interpreter cannot be asked for them, they are not there at all."""
PLUGIN_DIED = "error RTS-001 RTS-002 RTS-003 RTS-004 RTS-005 RTS-007 RTS-008"
"""The same, where their interpreter starts and what they import cannot be loaded (RTS-006, RTS-009 and RTS-010 ask the running service)."""
UNSEEN = (
    f"gone {PLUGIN}; skip PKG-001 PKG-002 PKG-003 PKG-004 PKG-005 RAG-002 RAG-003 RAG-004 RAG-005 RAG-006 RAG-007 "
    "RAG-008 RAG-009 SEC-001 SEC-002 SEC-003 SEC-004 SEC-005 SEC-006 SEC-007 SEC-008 SEC-010 SEC-011 SEC-012 SEC-013 "
    "SYS-001 SYS-002 SYS-003 SYS-008"
)
"""What cannot be looked at while nobody knows which release is the active one."""
BLIND = "unknown RAG-006"
"""The service's own commands do not run, so that nobody can say whether index and records agree."""


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong.

    Args:
        area: a heading of the page.
        what: is wrong, in words.
        inject: makes it so.
        finds: which checks see it (`judging.expected`).
        mended: whether the assistant puts it right; else a person has to.
        traced: whether the validator also traces a question, which takes its time.
        otherwise: mended, but to something else than it was: the trial puts that back as well.
        environment: of the validator.
    """

    area: str
    what: Text
    inject: Injection
    finds: str
    mended: bool = True
    traced: bool = False
    otherwise: bool = False
    environment: dict[str, str] = field(default_factory=dict)


DEFECTS: dict[str, Defect] = {
    # --- packages: what is installed is not what was sealed ------------------------------------------------------
    "package-file-changed": Defect(
        "packages",
        Text("패키지 파일이 바뀜", "a file of a package was changed"),
        files.appended(package("h11/_version.py"), "\n# changed\n"),
        "fail PKG-001 PKG-003",
    ),
    "package-file-missing": Defect(
        "packages",
        Text("패키지 파일이 없어짐", "a file of a package is gone"),
        files.removed(package("tqdm/contrib/discord.py")),
        "fail PKG-001 PKG-003",
    ),
    "package-file-extra": Defect(
        "packages",
        Text("봉인되지 않은 파일이 생김", "a file that nobody sealed lies among the packages"),
        files.planted(lambda host: host.packages / "helper.py", "VALUE = 1\n"),
        "fail PKG-001",
    ),
    "package-file-mode": Defect(
        "packages",
        Text("패키지 파일의 권한이 바뀜", "a file of a package has another mode"),
        files.mode(package("h11/_version.py"), 0o755),
        "fail PKG-001",
    ),
    "record-changed": Defect(
        "packages",
        Text("RECORD가 바뀜", "a package's RECORD was changed"),
        files.substituted(
            package("h11-*.dist-info/RECORD"), "h11/_version.py,sha256=", "h11/_version.py,sha256=A"
        ),
        "fail PKG-001 PKG-003",
    ),
    "package-removed": Defect(
        "packages",
        Text("패키지가 지워짐", "a package was removed"),
        files.package_gone("annotated_doc"),
        "fail PKG-001 PKG-002 PKG-004",
    ),
    "package-of-another-version": Defect(
        "packages",
        Text("패키지가 다른 버전으로 바뀜", "a package is there in another version"),
        files.package_of_version("idna", "3.19"),
        "fail PKG-001 PKG-002",
    ),
    "native-library-broken": Defect(
        "packages",
        Text("네이티브 라이브러리가 반으로 잘림", "a native library was cut in half"),
        files.rewritten(package(LIBRARY), files.halved),
        f"fail PKG-001 PKG-003 PKG-004 PKG-005; {BLIND}; {PLUGIN_DIED}",
    ),
    "native-library-of-another-machine": Defect(
        "packages",
        Text("네이티브 라이브러리가 다른 CPU의 것", "a native library is made for another processor"),
        files.rewritten(package(LIBRARY), files.for_another_machine),
        f"fail PKG-001 PKG-003 PKG-004 PKG-005; {BLIND}; {PLUGIN_DIED}",
    ),
    "interpreter-link-broken": Defect(
        "packages",
        Text("가상 환경의 Python 링크가 끊어짐", "the environment's interpreter leads nowhere"),
        files.link(release("venv/bin/python"), "/usr/bin/python3.99"),
        f"fail PKG-001 PKG-004 RAG-002 RAG-003 RAG-009; {BLIND}; skip SEC-013; gone {PLUGIN}",
    ),
    "interpreter-of-another-version": Defect(
        "packages",
        Text("가상 환경이 다른 Python의 것이 됨", "the environment says that it is for another Python"),
        files.rewritten(
            release("venv/pyvenv.cfg"),
            lambda data: data.replace(b"version_info = 3.1", b"version_info = 3.9.1"),
        ),
        "fail PKG-001 PKG-002 SYS-001",
    ),
    # --- the release: what the installer keeps about it ------------------------------------------------------------
    "receipt-damaged": Defect(
        "release",
        Text("영수증이 손상됨", "the receipt is damaged"),
        files.rewritten(release("RECEIPT.json"), files.halved),
        "fail PKG-001",
    ),
    "pointer-damaged": Defect(
        "release",
        Text("포인터가 손상됨", "the pointer is damaged"),
        files.rewritten(
            prefix("current.json"), lambda data: data.replace(b'"sequence": 1', b'"sequence": 2')
        ),
        f"fail RAG-001; {UNSEEN}",
    ),
    "pointer-to-a-missing-release": Defect(
        "release",
        Text("포인터가 없는 릴리스를 가리킴", "the pointer names a release that is not there"),
        files.pointer_to("000001-0123456789ab"),
        f"fail RAG-001; {UNSEEN}",
    ),
    "current-link-elsewhere": Defect(
        "release",
        Text("current 링크가 다른 곳을 가리킴", "the link `current` leads elsewhere"),
        files.link(prefix("current"), "generations"),
        "fail RAG-001",
    ),
    "manifest-changed": Defect(
        "release",
        Text("매니페스트가 바뀜", "the manifest was changed"),
        files.rewritten(release("tools/MANIFEST.json"), lambda data: data.rstrip() + b"\n\n"),
        "fail PKG-001 RAG-001 SEC-008",
    ),
    "manifest-unreadable": Defect(
        "release",
        Text("매니페스트가 반으로 잘림", "the manifest was cut in half"),
        files.rewritten(release("tools/MANIFEST.json"), files.halved),
        "fail PKG-001 RAG-001 RAG-009 SEC-008; skip SYS-001 SYS-002 SYS-003 SYS-008; "
        "unknown PKG-002 SEC-010 RAG-010 RAG-011 RAG-012 RAG-013 RAG-014 RAG-015 RAG-016 RAG-017",
    ),
    "signature-removed": Defect(
        "release",
        Text("서명 파일이 없어짐", "the signature is gone"),
        files.removed(release("tools/MANIFEST.json.sig")),
        "fail PKG-001 SEC-008",
    ),
    "signature-damaged": Defect(
        "release",
        Text("서명 파일이 손상됨", "the signature is damaged"),
        files.rewritten(release("tools/MANIFEST.json.sig"), files.halved),
        "fail PKG-001 SEC-008",
    ),
    "trust-damaged": Defect(
        "release",
        Text("신뢰하는 서명자 파일이 손상됨", "the file of trusted signers is damaged"),
        files.rewritten(prefix("trust/allowed_signers"), files.halved),
        "fail SEC-008 SEC-012",
        mended=False,
    ),
    "advisories-changed": Defect(
        "release",
        Text("취약점 스냅숏이 바뀜", "the advisory snapshot was changed"),
        files.rewritten(release("tools/05_Documentation/advisories.json"), files.halved),
        "fail PKG-001 SEC-010",
    ),
    "journal-torn": Defect(
        "release",
        Text("설치 기록이 찢어짐 (해롭지 않음)", "the journal is torn (harmless)"),
        files.appended(prefix("state/journal.jsonl"), '{"torn'),
        "",
        mended=False,
    ),
    # --- configuration -------------------------------------------------------------------------------------------
    "settings-readable-by-all": Defect(
        "configuration",
        Text("config/.env를 누구나 읽음", "everybody may read config/.env"),
        files.mode(prefix("config/.env"), 0o644),
        "fail SEC-001",
    ),
    "configuration-writable-by-all": Defect(
        "configuration",
        Text("ragtrace.yaml을 누구나 씀", "everybody may write ragtrace.yaml"),
        files.mode(prefix("config/ragtrace.yaml"), 0o666),
        "fail SEC-001",
    ),
    "unknown-key": Defect(
        "configuration",
        Text("설정에 모르는 키", "the configuration holds a key that nobody knows"),
        files.appended(prefix("config/ragtrace.yaml"), "\nretreival: {}\n"),
        f"fail RAG-003; {BLIND} {PLUGIN}",
    ),
    "configuration-unreadable": Defect(
        "configuration",
        Text("서비스가 설정을 읽지 못함", "the service may not read its configuration"),
        files.unreadable(prefix("config/ragtrace.yaml")),
        f"fail RAG-003; {BLIND} {PLUGIN}",
    ),
    "wrong-port": Defect(
        "configuration",
        Text(
            "config/.env의 포트가 실행 중인 서비스와 다름",
            "config/.env names another port than the service was started with",
        ),
        service.settings(lambda text: text.replace("=8400", "=8499")),
        f"{SILENT}; warn RAG-009; fail SEC-013",
        otherwise=True,
    ),
    # --- the service ---------------------------------------------------------------------------------------------
    "service-stopped": Defect(
        "service",
        Text("서비스가 멈춤", "the service was stopped"),
        service.stopped,
        f"{DOWN}; warn TOOL-002",
    ),
    "service-killed-with-a-stale-unit": Defect(
        "service",
        Text(
            "프로세스가 죽고, 유닛은 없어진 릴리스를 가리킴",
            "the process died and its unit names a release that is gone",
        ),
        service.killed_with_a_stale_unit,
        f"{DOWN}; warn TOOL-002; fail SEC-013",
    ),
    "unit-changed": Defect(
        "service",
        Text("유닛이 바뀜", "the unit was changed"),
        service.unit_changed(lambda text: text.replace("MemoryMax=2048M", "MemoryMax=infinity")),
        "fail SEC-013",
    ),
    "hardening-loosened": Defect(
        "service",
        Text("drop-in이 보호 설정을 품", "a drop-in loosens the hardening"),
        service.drop_in("NoNewPrivileges=no\nProtectSystem=no"),
        "warn SEC-007; fail SEC-013",
    ),
    "offline-switch-off": Defect(
        "service",
        Text("오프라인 스위치가 꺼진 채 시작됨", "the service was started with an offline switch off"),
        service.drop_in("Environment=HF_HUB_OFFLINE=0", restart=True),
        "fail SEC-006 SEC-013",
    ),
    "home-elsewhere": Defect(
        "service",
        Text("RAGTRACE_HOME이 다른 곳을 가리킴", "the service was started with RAGTRACE_HOME elsewhere"),
        service.drop_in("Environment=RAGTRACE_HOME=/opt/ragtrace/data", restart=True),
        "fail RAG-009 SEC-013; warn RAG-007",
    ),
    "second-service": Defect(
        "service",
        Text("손으로 두 번째 서비스를 시작함", "a second service was started by hand"),
        service.started_beside(
            [
                "{release}/venv/bin/python",
                "-m",
                "ragtrace",
                "serve",
                "--config",
                "/opt/ragtrace/config/ragtrace.yaml",
            ],
            environment={"RAGTRACE_SERVER_PORT": "8401", "RAGTRACE_HOME": "/opt/ragtrace"},
        ),
        "fail RAG-008 SEC-006 RAG-009",
        mended=False,
    ),
    "port-taken": Defect(
        "service",
        Text("다른 프로그램이 포트를 씀", "another program took the port"),
        service.port_taken,
        "fail RAG-004 RAG-007 SYS-010; unknown RAG-005; skip SEC-005 SEC-006 RAG-009; warn TOOL-002",
        mended=False,
    ),
    "listens-elsewhere": Defect(
        "service",
        Text("설정하지 않은 주소에서 받음", "the service listens where it was not told to"),
        service.started_with("SERVER_HOST=127.0.0.1", "SERVER_HOST=0.0.0.0"),
        "fail SEC-005; warn RAG-009",
    ),
    # --- data ----------------------------------------------------------------------------------------------------
    "index-zeroed": Defect(
        "data",
        Text("색인 파일이 0으로 채워짐", "a file of the index is all zeros"),
        files.under_way(files.rewritten(files.largest("data/index/bm25-v2", "*.term"), files.zeroed)),
        "fail RTS-002 RTS-003; unknown RAG-006",
    ),
    "index-deleted": Defect(
        "data",
        Text("색인이 지워짐", "the index was deleted"),
        files.under_way(files.removed(prefix("data/index"))),
        "fail RAG-006 RTS-002; warn RAG-007; skip RTS-003",
    ),
    "index-out-of-step": Defect(
        "data",
        Text("색인과 기록이 어긋남", "index and records are out of step"),
        files.under_way(files.older_index),
        "fail RAG-006 RTS-002",
    ),
    "records-truncated": Defect(
        "data",
        Text("기록 데이터베이스가 잘림", "the records were cut in half"),
        files.while_stopped(files.rewritten(prefix("data/records.sqlite3"), files.halved), ready=False),
        "fail RAG-005 RAG-007 RTS-001; unknown RAG-006 RTS-002; skip RTS-006",
        mended=False,
    ),
    # --- security ------------------------------------------------------------------------------------------------
    "secret-in-a-log": Defect(
        "security",
        Text("로그에 비밀 값", "a secret stands in a log"),
        files.planted(prefix("data/logs/service.log"), f"POST /report token={SECRET} 401\n"),
        "fail SEC-011",
    ),
    "private-key-in-data": Defect(
        "security",
        Text("데이터 폴더에 개인 키", "a private key lies in the data folder"),
        files.planted(prefix("data/id_ed25519"), PRIVATE_KEY),
        "fail SEC-011",
    ),
    "release-writable-by-all": Defect(
        "security",
        Text("릴리스의 파일을 누구나 씀", "everybody may write a file of the release"),
        files.mode(package("h11/_version.py"), 0o646),
        "fail PKG-001 SEC-003",
    ),
    "trust-writable-by-all": Defect(
        "security",
        Text("신뢰하는 서명자 파일을 누구나 씀", "everybody may write the file of trusted signers"),
        files.mode(prefix("trust/allowed_signers"), 0o646),
        "fail SEC-003",
    ),
    "release-owned-by-another": Defect(
        "security",
        Text("릴리스의 파일이 다른 사용자의 것", "a file of the release belongs to another user"),
        files.owner(package("h11/_version.py")),
        "fail SEC-002",
    ),
    "pickle-among-models": Defect(
        "security",
        Text("모델 폴더에 피클", "a pickle lies among the models"),
        files.planted(release("models/head.pt"), "not even a pickle"),
        "fail PKG-001 SEC-004",
    ),
    "audit-log-cut": Defect(
        "security",
        Text("감사 기록의 끝이 잘림", "the end of the audit log was cut off"),
        files.rewritten(prefix("state/audit.jsonl"), files.without_line(-1)),
        "fail SEC-012",
        mended=False,
    ),
    "audit-log-changed": Defect(
        "security",
        Text("감사 기록의 한 줄이 바뀜", "a line of the audit log was changed"),
        files.substituted(prefix("state/audit.jsonl"), '"actor": "root"', '"actor": "somebody"'),
        "fail SEC-012",
        mended=False,
    ),
    "outbound-call-planted": Defect(
        "security",
        Text(
            "시작할 때 밖으로 연결하는 모듈이 심어짐",
            "a module was planted that calls out whenever Python starts",
        ),
        files.planted(lambda host: host.packages / "helper.pth", AT_START),
        "fail PKG-001 SEC-009",
        traced=True,
    ),
    "outbound-call-in-a-package": Defect(
        "security",
        Text("바뀐 패키지가 밖으로 연결함", "a changed package calls out"),
        files.appended(package("h11/_version.py"), OUTBOUND),
        "fail PKG-001 PKG-003 SEC-009",
        traced=True,
    ),
    # --- the host ------------------------------------------------------------------------------------------------
    "disk-full": Defect(
        "host",
        Text("디스크가 가득 참", "the disk is full"),
        surroundings.space_left(100),
        "fail SYS-006; warn RTS-007",
        mended=False,
    ),
    "disk-nearly-full": Defect(
        "host",
        Text("다음 릴리스를 설치할 공간이 없음", "there is no room for another release"),
        surroundings.space_left(700),
        "warn SYS-006",
        mended=False,
    ),
    "inodes-exhausted": Defect(
        "host",
        Text("아이노드가 바닥남", "there are no inodes left"),
        surroundings.inodes_left(200),
        "fail SYS-007",
        mended=False,
    ),
    "clock-in-the-past": Defect(
        "host",
        Text("시계가 번들을 만들기 전을 가리킴", "the clock is before the bundle was made"),
        surroundings.nothing,
        "fail SYS-008; warn SEC-010",
        mended=False,
        environment=surroundings.shifted(-400),
    ),
    "clock-far-ahead": Defect(
        "host",
        Text("시계가 먼 미래를 가리킴", "the clock is far in the future"),
        surroundings.nothing,
        "fail SYS-008; warn SEC-010",
        mended=False,
        environment=surroundings.shifted(20 * 365),
    ),
    "snapshot-stale": Defect(
        "host",
        Text(
            "취약점 스냅숏이 오래됨 (시계를 300일 앞으로)",
            "the advisory snapshot is old (the clock is 300 days ahead)",
        ),
        surroundings.nothing,
        "warn SEC-010",
        mended=False,
        environment=surroundings.shifted(300),
    ),
    "locale-not-utf8": Defect(
        "host",
        Text("로캘이 UTF-8이 아님", "the locale is not UTF-8"),
        surroundings.nothing,
        "warn SYS-009",
        mended=False,
        environment=surroundings.korean_without_utf8(),
    ),
    # --- models: a release with a tiny BGE-M3 and a reranker (`tests.support.model_release`) ---------------------------
    "model-head-missing": Defect(
        "models",
        Text("BGE-M3의 sparse 헤드 파일이 없음", "a head of BGE-M3 is missing"),
        files.removed(release(f"{BGE}/sparse_linear.safetensors")),
        "fail PKG-001 RAG-010 RAG-011",
    ),
    "model-weights-zeroed": Defect(
        "models",
        Text("가중치가 0으로 채워짐", "the weights are all zeros"),
        files.rewritten(release(f"{BGE}/onnx/model_int8.onnx"), files.zeroed),
        "fail RAG-011 RAG-012; skip RAG-013 RAG-014 RAG-015",
    ),
    "model-of-another-kind": Defect(
        "models",
        Text("다른 모델의 그래프가 들어 있음", "the graph is another model's"),
        files.copied(release("models/reranker/onnx/model_int8.onnx"), release(f"{BGE}/onnx/model_int8.onnx")),
        "fail PKG-001 RAG-010 RAG-011 RAG-012 RAG-013 RAG-014 RAG-015",
    ),
    "model-golden-changed": Defect(
        "models",
        Text("골든 벡터가 바뀜", "the golden vectors were changed"),
        files.rewritten(release(f"{BGE}/onnx/golden_int8.json"), files.other_numbers),
        "fail RAG-011 RAG-013 RAG-014 RAG-015",
    ),
    "model-tokenizer-missing": Defect(
        "models",
        Text("토크나이저가 없음", "the tokenizer is missing"),
        files.removed(release(f"{BGE}/tokenizer.json")),
        "fail PKG-001 RAG-010 RAG-011 RAG-013 RAG-014 RAG-015",
    ),
    "model-lost-from-the-store": Defect(
        "models",
        Text("저장소의 모델 원본이 손상됨", "the store's copy of a model is damaged"),
        files.damaged_object(release(f"{BGE}/onnx/model_int8.onnx")),
        "fail RAG-011",
    ),
}

REBUILT = tuple(name for name, row in DEFECTS.items() if row.mended and row.finds.startswith("fail PKG-001"))
"""What is mended by making the release again, which takes as long as an installation."""
