"""What the stack's processes use: CPU while something is measured, and memory."""

from collections.abc import Mapping

import psutil

from devstack.stack import Stack


class Cpu:
    """Seconds used by each process of the stack with its children, and by each of `others` alone."""

    def __init__(self, stack: Stack, **others: int) -> None:
        self._roots = {name: psutil.Process(one.pid) for name, one in stack.running().items()}
        self._others = {name: psutil.Process(pid) for name, pid in others.items()}
        self._before = self._seconds()

    def milliseconds(self, count: int) -> dict[str, float]:
        """For each of so many requests, by process."""
        after = self._seconds()
        return {name: (after[name] - self._before[name]) * 1000 / count for name in after}

    def _seconds(self) -> dict[str, float]:
        families = {name: sum(map(_used, _family(root))) for name, root in self._roots.items()}
        return families | {name: _used(other) for name, other in self._others.items()}


def memory(stack: Stack) -> Mapping[str, float]:
    """MiB of each process and its children, shared pages counted once (PSS)."""
    shown = {state.name: state.memory_mib for state in stack.states()}
    return {name: mib for name, mib in shown.items() if mib is not None}


def _family(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def _used(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
