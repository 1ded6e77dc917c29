"""What every request is served with: the library, and threads for what blocks.

One thread writes and two look things up, so that no route waits on the event loop for a disk.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ...collection import Collection
from ...core.types.usage import LOCAL_CALLER, Caller
from ...library import Library

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Service:
    """A library, and the threads on which its blocking calls are made."""

    library: Library
    read_executor: ThreadPoolExecutor
    write_executor: ThreadPoolExecutor

    def get_caller(self) -> Caller:
        """In whose name a request is served: there are no access keys yet, and so only this machine's own."""
        return LOCAL_CALLER

    async def run_read(self, function: Callable[[], _T]) -> _T:
        """Look something up without holding the loop."""
        return await asyncio.get_running_loop().run_in_executor(self.read_executor, function)

    async def run_write(self, function: Callable[[], _T]) -> _T:
        """Change something without holding the loop, one change after the other."""
        return await asyncio.get_running_loop().run_in_executor(self.write_executor, function)

    async def open_collection(self, name: str, caller: Caller) -> Collection:
        """A collection as `caller` may see it, at once where it is open already."""
        if (opened := self.library.get_open(name, caller=caller)) is not None:
            return opened
        return await self.run_read(partial(self.library.open, name, caller=caller))

    def close(self) -> None:
        """Wait for what is under way."""
        self.read_executor.shutdown()
        self.write_executor.shutdown()


def make_service(library: Library) -> Service:
    """A service with its own threads, which start when they are first needed."""
    return Service(library, ThreadPoolExecutor(2, "semsearch-look"), ThreadPoolExecutor(1, "semsearch-write"))
