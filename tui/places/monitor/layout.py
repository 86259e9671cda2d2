"""Where the cards of the Monitor lie, for any size of terminal."""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    x: int
    y: int
    width: int
    height: int


RIGHT = 40
FRAME = 2
ROW = ("grad_norm", "clips_per_second", "memory")
"""Charts that stand in a row below the loss where there is room for all at once; the learning rate is at the right."""
ROOM_FOR_ALL = (160, 42)
ROW_HEIGHT = 10


def has_room_for_all(width: int, height: int) -> bool:
    """Whether every chart is shown at once, so that there is none to choose."""
    return width >= ROOM_FOR_ALL[0] and height >= ROOM_FOR_ALL[1]


def boxes(width: int, height: int, *, machine: int, health: int, second: bool, full_log: bool) -> dict[str, Box]:
    """Place of every card that is shown within ``width`` x ``height`` cells.

    ``machine`` and ``health`` are the lines of text those cards want. A wide terminal has two columns (curves and log
    | machine, health, second chart); a narrow one stacks them, and the second chart takes the log's place.
    """
    if full_log:
        return {"log": Box(0, 0, width, height)}
    return (_wide if width >= 100 else _narrow)(width, height, machine, health, second)


def _wide(width: int, height: int, machine: int, health: int, second: bool) -> dict[str, Box]:
    left = width - RIGHT
    every = has_room_for_all(width, height)
    row = ROW_HEIGHT if every else 0
    log = max(5, (height - 3 - row) * 2 // 5)
    chart = height - 3 - log - row
    machine = min(machine + FRAME, height - 6)
    health = min(max(health, 1) + FRAME, height - machine)
    rest = height - machine - health
    found = {
        "chart": Box(0, 0, left, chart),
        "progress": Box(0, chart + row, left, 3),
        "log": Box(0, chart + row + 3, left, log),
        "machine": Box(left, 0, RIGHT, machine),
    }
    edges = [left * at // len(ROW) for at in range(len(ROW) + 1)]
    for name, start, end in zip(ROW, edges, edges[1:], strict=False) if every else ():
        found[name] = Box(start, chart, end - start, row)
    if (second or every) and rest >= 7:
        found["health"] = Box(left, machine, RIGHT, health)
        found["second"] = Box(left, machine + health, RIGHT, rest)
    else:
        found["health"] = Box(left, machine, RIGHT, height - machine)
    return found


def _narrow(width: int, height: int, machine: int, health: int, second: bool) -> dict[str, Box]:
    right = 28
    machine = min(machine + FRAME, max(9, height // 2))
    chart = max(machine, (height - 4) // 2 + 1)
    below = chart + 4
    found = {
        "chart": Box(0, 0, width - right, chart),
        "machine": Box(width - right, 0, right, chart),
        "health": Box(0, chart, width, 3),
        "progress": Box(0, chart + 3, width, 1),
    }
    found["second" if second else "log"] = Box(0, below, width, height - below)
    return found
