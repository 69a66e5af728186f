"""Work that goes on while what came before it is used."""

import threading
from collections.abc import Iterator

import pytest

from earwitness.ahead import ahead


def test_every_item_comes_in_its_order_with_what_became_of_it() -> None:
    assert [(item, coming.result()) for item, coming in ahead(range(7), lambda n: n * n, count=3)] == [
        (n, n * n) for n in range(7)
    ]
    assert list(ahead((), lambda n: n, count=3)) == []


def test_the_next_item_is_worked_at_while_one_is_used() -> None:
    begun = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            begun.set()
        return item

    for item, coming in ahead(range(2), work, count=2):
        assert coming.result() == item
        assert begun.wait(5)


def test_no_more_is_taken_than_asked_for() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(10):
            taken.append(item)
            yield item

    walk = ahead(items(), lambda item: item, count=2)
    next(walk)
    assert taken == [0, 1]
    walk.close()
    assert taken == [0, 1]


def test_an_error_is_its_items_alone() -> None:
    walk = ahead((1, 0, 2), lambda item: 1 / item, count=2)
    results = [coming for _, coming in walk]
    assert results[0].result() == 1 and results[2].result() == 0.5
    with pytest.raises(ZeroDivisionError):
        results[1].result()
