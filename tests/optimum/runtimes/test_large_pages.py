"""Large pages: which memory gets them, and that nothing in it changes."""

from __future__ import annotations

import ctypes
import mmap
import sys

import pytest

from enfold.optimum.runtimes import pages

if sys.platform != "linux" or not pages._page_size():
    pytest.skip("this system has no large pages to ask for", allow_module_level=True)

MIDDLE = pages.WORTH // 4  # neighbours may share what begins or ends a block


def block(size: int) -> mmap.mmap:
    made = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for place in range(0, size, 4096):
        made[place] = place // 4096 % 251
    return made


def flags(memory: mmap.mmap) -> set[str]:
    """What Linux says of the memory that a block lies in."""
    place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    inside = False
    with open("/proc/self/smaps", encoding="utf-8") as lines:
        for line in lines:
            first, *rest = line.split()
            if "-" in first and not first.endswith(":"):
                begin, end = (int(one, 16) for one in first.split("-"))
                inside = begin <= place + MIDDLE < end
            elif inside and first == "VmFlags:":
                return set(rest)
    raise AssertionError("the block is not in this process")


def test_much_new_memory_is_on_large_pages_and_as_it_was() -> None:
    before = block(2 * pages.WORTH)
    with pages.LargePages() as moving:
        during = block(2 * pages.WORTH)
    moving.wait()
    after = block(2 * pages.WORTH)
    assert "hg" in flags(during) and "hg" not in flags(before) | flags(after)
    assert all(during[place] == place // 4096 % 251 for place in range(0, len(during), 4096))


def test_little_memory_is_left_alone() -> None:
    with pages.LargePages() as moving:
        little = block(pages.WORTH // 2)
    moving.wait()
    assert "hg" not in flags(little)


def test_nothing_moves_after_a_failure() -> None:
    moving = pages.LargePages()
    with pytest.raises(KeyError), moving:
        left = block(2 * pages.WORTH)
        raise KeyError("a")
    moving.wait()
    assert "hg" not in flags(left)


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([], [(10, 20), (30, 40)]),
        ([(0, 50)], []),
        ([(10, 20)], [(30, 40)]),
        ([(12, 14), (16, 35)], [(10, 12), (14, 16), (35, 40)]),
        ([(0, 11), (19, 20), (39, 60)], [(11, 19), (30, 39)]),
    ],
)
def test_what_was_there_before_does_not_count(others: pages.Ranges, left: pages.Ranges) -> None:
    assert pages._without([(10, 20), (30, 40)], others) == left
