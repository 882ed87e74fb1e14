import asyncio
import random

import pytest

from cluster.gate import Priority, PriorityGate


async def _settle() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


class Line:
    """Callers of one gate: notes who entered, and lets them leave on demand."""

    def __init__(self, permits: int) -> None:
        self.gate = PriorityGate(permits)
        self.entered: list[int] = []
        self.inside: set[int] = set()
        self.most_inside = 0
        self.tasks: list[asyncio.Task[None]] = []
        self._leave: list[asyncio.Event] = []

    def join(self, priority: int = Priority.NORMAL) -> int:
        caller = len(self.tasks)
        self._leave.append(asyncio.Event())
        self.tasks.append(asyncio.create_task(self._visit(caller, priority)))
        return caller

    def leave(self, caller: int) -> None:
        self._leave[caller].set()

    async def _visit(self, caller: int, priority: int) -> None:
        async with self.gate.permit(priority):
            self.entered.append(caller)
            self.inside.add(caller)
            self.most_inside = max(self.most_inside, len(self.inside))
            try:
                await self._leave[caller].wait()
            finally:
                self.inside.remove(caller)

    async def close(self) -> None:
        for event in self._leave:
            event.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_the_urgent_go_first_and_equals_by_arrival() -> None:
    line = Line(permits=1)
    first = line.join()
    await _settle()
    priorities = [Priority.LOW, Priority.NORMAL, Priority.SYNCHRONOUS, Priority.NORMAL, Priority.SYNCHRONOUS]
    callers = [line.join(priority) for priority in priorities]
    await _settle()
    assert line.gate.waiting == 5
    await line.close()
    assert line.entered == [first, *(callers[number] for number in (2, 4, 1, 3, 0))]
    assert line.gate.waiting == 0


@pytest.mark.parametrize("permits", [1, 2, 5])
async def test_no_more_than_the_permits_are_inside(permits: int) -> None:
    line = Line(permits)
    for _ in range(20):
        line.join()
    await _settle()
    assert len(line.inside) == permits
    await line.close()
    assert line.most_inside == permits
    assert len(line.entered) == 20


async def test_who_leaves_the_line_is_not_waited_for() -> None:
    line = Line(permits=1)
    first, second, third = line.join(), line.join(), line.join()
    await _settle()
    line.tasks[second].cancel()
    await _settle()
    assert line.gate.waiting == 1
    line.leave(first)
    await _settle()
    assert line.inside == {third}
    await line.close()


async def test_a_permit_of_one_cancelled_in_the_moment_it_was_granted_goes_to_the_next() -> None:
    line = Line(permits=1)
    first, second, third = line.join(), line.join(), line.join()
    await _settle()
    line.leave(first)
    await asyncio.sleep(0)  # the first leaves and grants; the second has not run yet
    assert line.inside == set()
    assert line.gate.waiting == 1
    line.tasks[second].cancel()
    await _settle()
    assert line.entered == [first, third]
    await line.close()


async def test_a_permit_comes_back_when_its_holder_fails() -> None:
    gate = PriorityGate(1)
    with pytest.raises(ZeroDivisionError):
        async with gate.permit(0):
            raise ZeroDivisionError
    async with asyncio.timeout(1), gate.permit(0):
        pass


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_no_permit_is_lost_or_made(seed: int) -> None:
    chance = random.Random(seed)
    permits = chance.randint(1, 3)
    line = Line(permits)
    for _ in range(150):
        match chance.randrange(4):
            case 0 | 1:
                line.join(chance.choice(list(Priority)))
            case 2 if line.inside:
                line.leave(chance.choice(sorted(line.inside)))
            case _ if line.tasks:
                chance.choice(line.tasks).cancel()
        if chance.random() < 0.7:
            await asyncio.sleep(0)
    await line.close()
    assert line.most_inside <= permits

    fresh = [line.join() for _ in range(permits + 1)]
    await _settle()
    assert line.inside == set(fresh[:permits])
    await line.close()
