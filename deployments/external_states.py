"""How well those are who are not ours, as seen from this process."""

from deployments.breaker import Circuit
from deployments.gateway import Route
from deployments.runs import CandidateStatus, ModelState, ModelStatus


def external_status(route: Route) -> ModelStatus:
    """Describe a model that only providers serve: it is well while one of them is."""
    candidates = route.candidates.all if route.candidates else ()
    running = sum(each.in_flight for each in candidates)
    waiting = route.candidates.waiting if route.candidates else 0
    is_well = any(each.circuit != Circuit.OPEN for each in candidates)
    return ModelStatus(
        route.id,
        ModelState.READY if is_well else ModelState.UNAVAILABLE,
        route.tasks,
        "" if is_well else " ".join(public(each.last_failure) for each in candidates),
        running=running,
        waiting=waiting,
        candidates=candidate_statuses(route),
    )


def public(failure: str) -> str:
    """Leave out the vendor's own words, which may name our account there: /ready is open to everybody."""
    return failure.partition(": ")[0]


def candidate_statuses(route: Route) -> tuple[CandidateStatus, ...]:
    """Describe who may serve a model, if anybody does beside our own replicas."""
    candidates = route.candidates.all if route.candidates else ()
    if not any(each.is_external for each in candidates):
        return ()
    return tuple(
        CandidateStatus(
            provider=each.provider,
            model=each.model or "*",
            circuit=each.circuit.value,
            running=each.in_flight,
            detail=public(each.last_failure),
        )
        for each in candidates
    )
