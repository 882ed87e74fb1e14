from configs.routing import BreakerConfig
from deployments.breaker import Breaker, Circuit
from tests.deployments.clock import Clock

CONFIG = BreakerConfig(failures=3, pause_s=10, max_pause_s=25)


def failing(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.begin()
        breaker.fail("it is down")


def test_some_failures_in_a_row_open_it() -> None:
    breaker = Breaker(CONFIG, Clock())
    failing(breaker, 2)
    assert breaker.lets_pass
    failing(breaker, 1)
    assert (breaker.circuit, breaker.lets_pass, breaker.opens_in_s) == (Circuit.OPEN, False, 10)
    assert breaker.last_failure == "it is down"


def test_a_success_between_them_starts_the_count_anew() -> None:
    breaker = Breaker(CONFIG, Clock())
    failing(breaker, 2)
    breaker.succeed()
    failing(breaker, 2)
    assert breaker.circuit == Circuit.CLOSED


def test_after_the_pause_one_request_tries_it() -> None:
    clock = Clock()
    breaker = Breaker(CONFIG, clock)
    failing(breaker, 3)
    clock.now += 10
    assert (breaker.circuit, breaker.lets_pass) == (Circuit.HALF_OPEN, True)
    breaker.begin()
    assert not breaker.lets_pass
    breaker.succeed()
    assert (breaker.circuit, breaker.lets_pass, breaker.last_failure) == (Circuit.CLOSED, True, "")


def test_a_caller_that_leaves_lets_the_next_one_try() -> None:
    clock = Clock()
    breaker = Breaker(CONFIG, clock)
    failing(breaker, 3)
    clock.now += 10
    breaker.begin()
    breaker.give_up()
    assert breaker.lets_pass


def test_each_pause_is_twice_as_long_up_to_the_limit() -> None:
    clock = Clock()
    breaker = Breaker(CONFIG, clock)
    failing(breaker, 3)
    pauses = []
    for _ in range(3):
        pauses.append(breaker.opens_in_s)
        clock.now += breaker.opens_in_s
        failing(breaker, 1)
    assert pauses == [10, 20, 25]


def test_who_asks_for_a_pause_gets_it() -> None:
    breaker = Breaker(CONFIG, Clock())
    breaker.begin()
    breaker.fail("slow down", pause_s=7)
    assert (breaker.circuit, breaker.opens_in_s) == (Circuit.OPEN, 7)


def test_what_cannot_get_better_opens_it_at_once() -> None:
    breaker = Breaker(CONFIG, Clock())
    breaker.begin()
    breaker.fail("the key is wrong", at_once=True)
    assert breaker.circuit == Circuit.OPEN
