"""What the stack's processes use: CPU while something is measured, and memory."""

from collections.abc import Mapping

import psutil

from devstack.stack import Stack


class Cpu:
    """Seconds used by each process of the stack and of `others`, its children included."""

    def __init__(self, stack: Stack, **others: int) -> None:
        pids = {name: one.pid for name, one in stack.running().items()} | others
        self._roots = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._before = self._seconds()

    def milliseconds(self, count: int) -> dict[str, float]:
        """For each of so many requests, by process."""
        after = self._seconds()
        return {name: (after[name] - self._before[name]) * 1000 / count for name in after}

    def _seconds(self) -> dict[str, float]:
        return {name: sum(map(_used, family(root))) for name, root in self._roots.items()}


def memory(stack: Stack) -> Mapping[str, float]:
    """MiB of each process and its children, shared pages counted once (PSS)."""
    shown = {state.name: state.memory_mib for state in stack.states()}
    return {name: mib for name, mib in shown.items() if mib is not None}


def family(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def _used(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
