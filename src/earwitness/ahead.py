"""Work that goes on in another thread while what came before it is used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    items: Iterable[Item], work: Callable[[Item], Result], *, count: int
) -> Iterator[tuple[Item, Future[Result]]]:
    """Yields every item with what becomes of it, in their order; `count` of them are under way or done at a time.

    An item's error waits in its future.
    """
    left = iter(items)
    with ThreadPoolExecutor(1) as pool:
        queue = deque((item, pool.submit(work, item)) for item in islice(left, count))
        try:
            while queue:
                yield queue.popleft()
                queue.extend((item, pool.submit(work, item)) for item in islice(left, 1))
        finally:  # nobody will ask for these
            for _, coming in queue:
                coming.cancel()
