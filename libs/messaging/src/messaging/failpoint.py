"""Named points at which a test may stop, kill or break a process; nothing happens without a hook."""

from collections.abc import Awaitable, Callable

Hook = Callable[[str], Awaitable[None]]

_hooks: list[Hook] = []


def install(hook: Hook) -> None:
    _hooks.append(hook)


def remove(hook: Hook) -> None:
    _hooks.remove(hook)


async def hit(point: str) -> None:
    for hook in _hooks:
        await hook(point)
