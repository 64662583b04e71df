"""The fixed list of actions: what each changes, how to undo it, and how it is done through the installer."""

from __future__ import annotations

from typing import Callable, Dict, Optional, Tuple

from bundle.text import Text, human_size
from recovery import logs, permissions
from recovery.action import Action, Done
from recovery.engine import Means, install, installer_script

Words = Callable[[Means], Tuple[str, ...]]
NO_INSTALLER = Text(
    "설치 프로그램(install.py)을 찾지 못했습니다. 번들을 --bundle로 지정하십시오",
    "the installer (install.py) was not found; name a bundle with --bundle",
)
NO_PREVIOUS = Text("되돌아갈 이전 세대가 없습니다", "there is no earlier generation to go back to")
NO_SNAPSHOT = Text(
    "새 스냅숏을 --advisories 파일로 지정하십시오", "name the newer snapshot with --advisories FILE"
)
NO_RELEASE = Text("활성 세대가 없습니다", "there is no active generation")
GIVE_BUNDLE = Text(
    "이 릴리스의 번들을 반입해 --bundle 경로로 지정하십시오",
    "carry in this release's bundle and name it with --bundle PATH",
)
LACKING = 10


def _always(means: Means) -> Optional[Text]:
    return None


def _nothing(means: Means) -> Tuple[str, ...]:
    return ()


def _words(*words: str) -> Words:
    return lambda means: words


def _repair_words(means: Means) -> Tuple[str, ...]:
    return ("--repair", "--bundle", str(means.bundle)) if means.bundle is not None else ("--repair",)


def _snapshot_words(means: Means) -> Tuple[str, ...]:
    return ("--advisories", str(means.advisories) if means.advisories is not None else "FILE")


def _installed(words: Words) -> Callable[[Means], Done]:
    """Return how to have the installer do something."""

    def apply(means: Means) -> Done:
        answer = install(means, *words(means))
        told = answer.told(means.lang)
        if answer.code == LACKING and means.bundle is None and words(means)[:1] == ("--repair",):
            told += ". " + GIVE_BUNDLE.to(means.lang)
        return Done(answer.ok, told)

    return apply


def _restart(means: Means) -> Done:
    """Stop and start; a service that cannot be stopped may still be startable."""
    stopped = install(means, "--stop")
    started = install(means, "--start")
    if started.ok:
        return Done(True)
    return Done(False, " / ".join(filter(None, (stopped.told(means.lang), started.told(means.lang)))))


def _needs_installer(means: Means) -> Optional[Text]:
    return NO_INSTALLER if installer_script(means) is None else None


def _needs_release(means: Means) -> Optional[Text]:
    return NO_RELEASE if means.subject.generation is None else _needs_installer(means)


def _needs_previous(means: Means) -> Optional[Text]:
    if means.subject.pointer is None or not means.subject.pointer.get("previous"):
        return NO_PREVIOUS
    return _needs_installer(means)


def _needs_snapshot(means: Means) -> Optional[Text]:
    return NO_SNAPSHOT if means.advisories is None else _needs_release(means)


def _room(means: Means) -> Optional[Text]:
    """Ask the installer what it would free; it changes nothing."""
    answer = install(means, *FREE_SPACE, "--dry-run")
    amount = answer.document.get("bytes")
    if not answer.ok or isinstance(amount, bool) or not isinstance(amount, int):
        return None
    size = human_size(amount)
    return Text(f"{size}({amount:,}바이트)가 비워집니다", f"{size} ({amount:,} bytes) come free")


def _present(means: Means) -> Optional[Text]:
    """Name the present generation, which is what undoing goes back to."""
    if means.subject.generation is None:
        return None
    name = means.subject.generation.name
    return Text(f"지금 세대는 {name}입니다", f"the present generation is {name}")


FREE_SPACE = ("--prune", "--caches")

_ALL: Tuple[Action, ...] = (
    Action(
        "free-space",
        Text("설치가 스스로 만든 것으로 공간 비우기", "Free space that the installation itself took"),
        Text(
            "보관 수를 넘는 옛 릴리스, 아무 릴리스도 쓰지 않는 저장소 내용, 지난 로그, 컴파일 캐시를 지웁니다. "
            "문서와 색인은 건드리지 않습니다",
            "old releases beyond those kept, contents of the store that no release uses, rotated logs and compiled "
            "modules go; documents and indexes are not touched",
        ),
        Text(
            "지운 릴리스는 그 번들로 다시 설치할 수 있습니다",
            "a removed release can be installed again from its bundle",
        ),
        _installed(_words(*FREE_SPACE)),
        _needs_release,
        _words(*FREE_SPACE),
        _room,
        makes_room=True,
    ),
    Action(
        "recover",
        Text("설치 프로그램의 복구 실행", "Let the installer recover"),
        Text("끝나지 않은 설치를 끝내거나 되돌립니다", "an unfinished installation is finished or undone"),
        Text(
            "필요 없습니다: 마지막으로 온전하던 상태가 됩니다",
            "not needed: it leads to the last state that was whole",
        ),
        _installed(_words("--recover")),
        _needs_installer,
        _words("--recover"),
    ),
    Action(
        "fix-permissions",
        Text("설정 파일 권한 고치기", "Correct the configuration's permissions"),
        Text(
            ".env는 0600, config의 나머지는 그룹·기타 쓰기 금지",
            ".env 0600; nothing in config writable by others",
        ),
        Text("chmod로 되돌릴 수 있습니다", "chmod gives them back"),
        permissions.fix_configuration,
        _always,
        _nothing,
    ),
    Action(
        "close-writing",
        Text("다른 사용자의 쓰기 권한 없애기", "Take the right to write away from others"),
        Text(
            "세대, 상태, 신뢰, 저장소에서 o+w가 사라지고, 남의 파일은 설치한 사용자의 것이 됩니다",
            "o+w is removed in generations, state, trust and store; files of others go to who installed",
        ),
        Text("chmod o+w, chown (권하지 않음)", "chmod o+w, chown (not advised)"),
        permissions.close_installation,
        _always,
        _nothing,
    ),
    Action(
        "restore-configuration",
        Text(
            "설정의 잘못된 부분을 기본값으로", "Let what is wrong in the configuration go back to the default"
        ),
        Text(
            "잘못된 변수, 또는 ragtrace.yaml이 릴리스의 기본값이 되고 서비스가 다시 시작됩니다",
            "wrong variables, or ragtrace.yaml, become the release's default; the service restarts",
        ),
        Text(
            "옛 파일이 config/ragtrace.yaml.<시각>, config/.env.<시각>(0600)으로 남습니다",
            "the old files stay as config/ragtrace.yaml.<time> and config/.env.<time> (0600)",
        ),
        _installed(_words("--config-default")),
        _needs_release,
        _words("--config-default"),
    ),
    Action(
        "repair",
        Text("손상된 것만 다시 만들기", "Make again what is damaged"),
        Text(
            "활성 세대가 온전한 내용으로 옆에 다시 만들어지고 서비스가 그것으로 바뀝니다. 데이터와 설정은 그대로입니다",
            "the active generation is made again beside itself from intact contents, and the service changes to it; "
            "data and configuration stay",
        ),
        Text("필요 없습니다: 같은 릴리스입니다", "not needed: it is the same release"),
        _installed(_repair_words),
        _needs_release,
        _repair_words,
    ),
    Action(
        "extract-model",
        Text("모델을 저장소나 번들에서 다시 꺼내기", "Take the models out of the store or the bundle again"),
        Text(
            "손상되거나 없는 모델 파일만 다시 놓입니다. 온전한 것은 다시 쓰지 않습니다",
            "only model files that are damaged or missing are placed again; intact ones are not written",
        ),
        Text("필요 없습니다: 봉인된 그대로입니다", "not needed: they are as sealed"),
        _installed(_repair_words),
        _needs_release,
        _repair_words,
    ),
    Action(
        "rollback",
        Text("이전 세대로 되돌리기", "Go back to the earlier generation"),
        Text(
            "활성 세대가 바뀌고 서비스가 다시 시작됩니다",
            "the active generation changes and the service restarts",
        ),
        Text("install.py --rollback <지금 세대>", "install.py --rollback <the present generation>"),
        _installed(_words("--rollback")),
        _needs_previous,
        _words("--rollback"),
        _present,
    ),
    Action(
        "restore-unit",
        Text("서비스 유닛 다시 쓰기", "Write the service's unit again"),
        Text(
            "유닛이 설치 프로그램이 정한 대로 되고, 덧붙은 drop-in은 옆으로 옮겨지며, 서비스가 다시 시작됩니다",
            "the unit is as the installer wants it, drop-ins that were added are moved aside, the service restarts",
        ),
        Text(
            "옮긴 drop-in은 /etc/systemd/system/<이름>.service.d.<시각>.saved에 있습니다",
            "moved drop-ins lie in /etc/systemd/system/<name>.service.d.<time>.saved",
        ),
        _installed(_words("--restore-unit")),
        _needs_release,
        _words("--restore-unit"),
    ),
    Action(
        "restart",
        Text("서비스 다시 시작", "Restart the service"),
        Text("서비스가 잠시 멈췄다가 활성 세대로 시작됩니다", "the service stops briefly and starts again"),
        Text("install.py --stop", "install.py --stop"),
        _restart,
        _needs_release,
        _words("--start"),
    ),
    Action(
        "rebuild-index",
        Text("기록에서 색인 다시 만들기", "Build the index again from the records"),
        Text(
            "서비스가 멈추고, 색인이 기록에서 새로 만들어지고, 다시 시작됩니다. 문서는 그대로입니다",
            "the service stops, its index is made anew from the records, it starts again; documents stay",
        ),
        Text(
            "필요 없습니다: 색인은 기록에서 언제든 다시 만들 수 있습니다",
            "not needed: an index can always be made from the records",
        ),
        _installed(_words("--rebuild-index")),
        _needs_release,
        _words("--rebuild-index"),
    ),
    Action(
        "remove-secret",
        Text("로그에서 비밀 값 지우기", "Remove the secrets from the logs"),
        Text(
            "data/logs의 파일에서 알려진 비밀 값이 같은 길이의 *로 덮이고, 비밀 값이 든 다른 파일은 주인만 읽게 됩니다. "
            "설정의 내용은 건드리지 않습니다",
            "known secret values in files of data/logs are overwritten by as many *, and other files that hold one become "
            "readable by their owner only; what the configuration says is not touched",
        ),
        Text("되돌릴 수 없습니다", "it cannot be undone"),
        logs.remove_secrets,
        _always,
        _nothing,
    ),
    Action(
        "renew-snapshot",
        Text("새 취약점 스냅숏 적용", "Apply a newer advisory snapshot"),
        Text(
            "서명을 확인한 뒤 스냅숏이 바뀝니다. 서비스는 건드리지 않습니다",
            "the snapshot is replaced after its signature was verified; the service is not touched",
        ),
        Text("더 새로운 스냅숏을 다시 적용합니다", "apply a still newer one"),
        _installed(_snapshot_words),
        _needs_snapshot,
        _snapshot_words,
    ),
)
ACTIONS: Dict[str, Action] = {action.id: action for action in _ALL}
