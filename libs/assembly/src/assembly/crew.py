"""Processes that help this one: forked before anything runs in it, so that they start at once."""

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess, parent_process
from typing import Self

FORK = multiprocessing.get_context("fork")


class HelperFailed(Exception):
    """A helper ended with an error, which it has said itself, or was killed (a negative code)."""


@dataclass(frozen=True, slots=True)
class Helper:
    """Waits to be called, and ends when nobody can call it any more."""

    process: BaseProcess
    calling: Connection

    @classmethod
    def forked(cls, work: Callable[[], None]) -> Self:
        called, calling = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_when_called, args=(work, called, calling))
        process.start()
        called.close()
        return cls(process, calling)

    async def help(self) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.process.sentinel, ended.set)
        self.calling.send_bytes(b"now")
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self.process.sentinel)
            self.dismiss()
        if self.process.exitcode:
            raise HelperFailed(
                f"process {self.process.pid} ended with {self.process.exitcode}; "
                "what it had to say stands above"
            )

    def dismiss(self) -> None:
        self.calling.close()
        self.process.terminate()
        self.process.join()


@dataclass(frozen=True, slots=True)
class Crew:
    helpers: tuple[Helper, ...]

    @classmethod
    def forked(cls, works: Iterable[Callable[[], None]]) -> Self:
        return cls(tuple(Helper.forked(work) for work in works))

    async def help(self) -> None:
        """All of them work; when one fails, the others end with it."""
        async with asyncio.TaskGroup() as group:
            for helper in self.helpers:
                group.create_task(helper.help())

    def dismiss(self) -> None:
        for helper in self.helpers:
            helper.dismiss()


def end_with_parent() -> None:
    """In a helper's loop. The parent never writes: what can be read is its end."""
    parent = parent_process()
    assert parent is not None
    asyncio.get_running_loop().add_reader(parent.sentinel, os._exit, 1)


def _when_called(work: Callable[[], None], called: Connection, calling: Connection) -> None:
    calling.close()
    try:
        called.recv_bytes()
    except EOFError:
        return
    work()
