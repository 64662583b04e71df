"""``cache``: what lies in the builder's cache, whether it is still sound, and making room."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bundle.errors import IntegrityError, UsageProblem
from bundle.text import Text, human_size, wording

if TYPE_CHECKING:
    from ..cache import Cache
    from ..cache_care import Item, PrunePlan
    from ..console import Console

NAME = "cache"
_KINDS = {
    "wheel": Text("휠", "wheels"),
    "source": Text("소스 아카이브", "source archives"),
    "model": Text("모델", "models"),
    "other": Text("그 밖의 파일", "other files"),
    "unfinished": Text("받다 만 파일", "unfinished downloads"),
    "record": Text("빌드 기록", "records of builds"),
    "scratch": Text("작업 폴더와 잠금", "work folders and locks"),
    "tool": Text("도구", "tools"),
}


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    speaking: argparse.ArgumentParser,
    lang: str,
) -> None:
    """Add the command and its three verbs."""
    text = wording(lang)
    parser = commands.add_parser(NAME, help=text("캐시: 보기, 검사, 정리", "the cache: show, verify, prune"))
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="{show,verify,prune}")
    verbs.add_parser(
        "show", parents=[speaking], help=text("폴더와 종류별 크기", "the folder, and sizes by kind")
    )
    verify = verbs.add_parser(
        "verify", parents=[speaking], help=text("모든 파일을 다시 해시", "hash every file again")
    )
    verify.add_argument(
        "--remove",
        action="store_true",
        help=text(
            "변한 파일을 지움 (다음 빌드가 다시 받음)", "remove changed files; a build fetches them again"
        ),
    )
    prune = verbs.add_parser(
        "prune",
        parents=[speaking],
        help=text(
            "오래 쓰지 않은 파일과 중단된 빌드의 흔적을 지움",
            "remove what was not used for long, and what killed builds left",
        ),
    )
    prune.add_argument(
        "--older-than",
        type=float,
        metavar="DAYS",
        help=text("이 일수 동안 쓰지 않은 파일", "files that were not used for so many days"),
    )
    prune.add_argument(
        "--max-size",
        metavar="SIZE",
        help=text(
            "이 크기가 될 때까지, 가장 오래 쓰지 않은 것부터 (예: 20GB)",
            "the least recently used, until so much is left (e.g. 20GB)",
        ),
    )
    prune.add_argument(
        "--partials", action="store_true", help=text("받다 만 파일도", "unfinished downloads too")
    )
    prune.add_argument(
        "--dry-run", action="store_true", help=text("무엇을 지울지만 보기", "only show what would go")
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Run one verb."""
    from ..cache import Cache, default_folder

    # Not entered among the users: this command looks at them.
    cache = Cache(default_folder())
    if options.verb == "show":
        _show(cache, options, console)
    elif options.verb == "verify":
        _verify(cache, options, console)
    else:
        _prune(cache, options, console)
    return 0


def _show(cache: Cache, options: argparse.Namespace, console: Console) -> None:
    from .. import cache_care

    items = cache_care.survey(cache)
    users = cache.users.others()
    sums = _sums(items)
    if options.json:
        kinds = {kind: {"count": count, "bytes": size} for kind, (count, size) in sums.items()}
        document = {
            "folder": str(cache.root),
            "bytes": sum(item.size for item in items),
            "kinds": kinds,
            "users": [{"pid": user.pid, "since": int(user.since)} for user in users],
        }
        console.result_json(document)
        return
    lines = [str(cache.root)]
    for kind, (count, size) in sums.items():
        lines.append(f"  {human_size(size):>10}  {count:>6}  {_KINDS[kind].to(console.lang)}")
    total = human_size(sum(item.size for item in items))
    lines.append(f"  {total:>10}  {len(items):>6}  {Text('모두', 'in all').to(console.lang)}")
    for user in users:
        lines.append(Text(f"사용 중: {user.text().ko}", f"in use by {user.text().en}").to(console.lang))
    console.result("\n".join(lines))


def _verify(cache: Cache, options: argparse.Namespace, console: Console) -> None:
    from .. import cache_care

    files = [item for item in cache_care.survey(cache) if item.path.is_relative_to(cache.root / "files")]
    console.stage(Text("캐시 검사", "verifying the cache"), sum(item.size for item in files))
    bad = cache_care.poisoned(cache, console.advance)
    if options.remove:
        for path in bad:
            path.unlink(missing_ok=True)
    elif bad:
        raise IntegrityError(
            Text(f"캐시에서 변한 파일: {len(bad)}개", f"{len(bad)} file(s) in the cache have changed"),
            where=str(cache.root),
            details=[Text(path.name, path.name) for path in bad],
            hint=Text("cache verify --remove 로 지우십시오", "remove them: cache verify --remove"),
        )
    if options.json:
        console.result_json({"files": len(files), "removed": [path.name for path in bad]})
    else:
        text = Text(
            f"파일 {len(files)}개 확인, 변하여 지운 것 {len(bad)}개",
            f"{len(files)} files verified, {len(bad)} changed and removed",
        )
        console.result(text.to(console.lang))


def _prune(cache: Cache, options: argparse.Namespace, console: Console) -> None:
    import time

    from .. import cache_care

    order = cache_care.PruneOrder(options.older_than, _max_bytes(options), options.partials)
    if options.older_than is not None and options.older_than < 0:
        raise UsageProblem(
            Text("일수는 0 이상입니다", "the days are at least 0"), where=f"--older-than {options.older_than}"
        )
    with cache.users.alone():
        plan = cache_care.plan_prune(cache, order, time.time())
        if not options.dry_run:
            cache_care.apply(plan)
    if options.json:
        console.result_json(_plan_dict(cache, plan, done=not options.dry_run))
        return
    lines = [
        f"  {human_size(item.size):>10}  {item.path.relative_to(cache.root).as_posix()}"
        for item in plan.items()
        if options.dry_run or options.verbose
    ]
    count, size = len(plan.items()), human_size(plan.size())
    if options.dry_run:
        lines.append(Text(f"지울 것: {count}개, {size}", f"would go: {count}, {size}").to(console.lang))
    else:
        lines.append(Text(f"지움: {count}개, {size}", f"removed: {count}, {size}").to(console.lang))
    console.result("\n".join(lines))


def _plan_dict(cache: Cache, plan: PrunePlan, *, done: bool) -> dict[str, object]:
    return {
        "removed": done,
        "bytes": plan.size(),
        "items": [
            {"path": item.path.relative_to(cache.root).as_posix(), "kind": item.kind, "bytes": item.size}
            for item in plan.items()
        ],
    }


def _max_bytes(options: argparse.Namespace) -> int | None:
    from ..transport.sizes import to_bytes

    if options.max_size is None:
        return None
    size = to_bytes(options.max_size)
    if size is None:
        raise UsageProblem(
            Text("크기를 알 수 없습니다", "the size is not understood"),
            where=f"--max-size {options.max_size}",
            hint=Text("예: 500MB, 20GB, 1.5GiB", "for example 500MB, 20GB, 1.5GiB"),
        )
    return size


def _sums(items: list[Item]) -> dict[str, tuple[int, int]]:
    sums: dict[str, tuple[int, int]] = {}
    for item in items:
        count, size = sums.get(item.kind, (0, 0))
        sums[item.kind] = (count + 1, size + item.size)
    return sums
