"""What was used, and what it cost: for whoever used it, and for the operator."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from cluster.api_keys import ADMIN_ID
from cluster.usage_records import Totals, UsageRow
from deployments.calls import Call
from deployments.dependencies import CallDep
from deployments.errors import BadRequest, Forbidden
from deployments.routers.documentation import json_example

router = APIRouter(tags=["Usage"])

_DATE = re.compile(r"/Date\((-?\d{1,15})\)/")


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True)


class UsageTotals(_Answer):
    """Sums."""

    requests: int
    failures: int
    prompt_tokens: int
    completion_tokens: int
    images: int
    audio_seconds: float
    seconds: float
    cost_usd: float


class UsageView(UsageTotals):
    """The sums of one day (UTC), by key, task, model and provider."""

    day: str
    api_key_id: str
    task: str
    model: str
    provider: str


class Usage(_Answer):
    """A report."""

    first_day: str
    last_day: str
    monthly_budget: float | None
    """US dollars; where it is its own usage that a key asks for."""
    spent_this_month: float
    total: UsageTotals
    rows: tuple[UsageView, ...]


class SummaryStats(_Answer):
    """What was chatted with one provider, with one model, or in one month."""

    name: str
    total: int
    total_prompt_tokens: int
    total_completion_tokens: int
    total_minutes: float
    tokens_per_second: float


class SummaryStatsResponse(_Answer):
    """The same sums in three ways."""

    provider_stats: tuple[SummaryStats, ...]
    model_stats: tuple[SummaryStats, ...]
    month_stats: tuple[SummaryStats, ...]


_SUMS = {
    "requests": 12,
    "failures": 0,
    "promptTokens": 310,
    "completionTokens": 96,
    "images": 0,
    "audioSeconds": 0.0,
    "seconds": 4.1,
    "costUsd": 0.0013,
}
_ROW = {"day": "2026-11-25", "apiKeyId": "0", "task": "chat", "model": "gpt", "provider": "openai", **_SUMS}
_STATS = {
    "name": "openai",
    "total": 12,
    "totalPromptTokens": 310,
    "totalCompletionTokens": 96,
    "totalMinutes": 0.07,
    "tokensPerSecond": 23.4,
}


@router.get(
    "/usage",
    operation_id="usage",
    summary="What was used, and what it cost",
    response_model=Usage,
    responses=json_example(
        {
            "firstDay": "2026-11-01",
            "lastDay": "2026-11-25",
            "monthlyBudget": 20.0,
            "spentThisMonth": 0.0013,
            "total": _SUMS,
            "rows": [_ROW],
        }
    ),
)
async def usage(request: Request, call: CallDep) -> JSONResponse:
    """Report the usage of your API key by day, task, model and provider; days are those of UTC.

    `from` and `to` are days (`2026-11-01`); without them it is this month. The admin may ask for another key
    (`apiKeyId=3`) or for everybody (`all=true`). Costs follow the prices of the server's configuration.

    ```sh
    curl -H "Authorization: Bearer $AI_SERVER_API_KEY" "http://127.0.0.1:8000/usage?from=2026-11-01"
    ```
    """
    query = request.query_params
    today = datetime.now(UTC).date()
    first = _day(query.get("from"), "from") or today.replace(day=1)
    last = _day(query.get("to"), "to") or today
    if first > last:
        raise BadRequest(f"'from' ({first}) must not come after 'to' ({last}).", "from")
    owner = _owner(call, query)
    ledger = call.services.ledger
    rows = await ledger.rows(f"{first}", f"{last}", owner)
    body = Usage(
        first_day=f"{first}",
        last_day=f"{last}",
        monthly_budget=call.key.monthly_budget if owner == call.owner else None,
        spent_this_month=round(await (ledger.spent_by_all() if owner is None else ledger.spent(owner)), 6),
        total=UsageTotals(**_sums(Totals.sum_of(row.totals for row in rows))),
        rows=tuple(_view(row) for row in rows),
    )
    return JSONResponse(body.model_dump(mode="json", by_alias=True))


@router.get(
    "/api/GetSummaryStats",
    operation_id="GetSummaryStats",
    summary="Sums of all chats",
    response_model=SummaryStatsResponse,
    responses=json_example({"providerStats": [_STATS], "modelStats": [_STATS], "monthStats": [_STATS]}),
)
async def summary_stats(request: Request, call: CallDep) -> JSONResponse:
    """Report the chats of everybody by provider, model and month, as AI Server does; for the admin key.

    ```sh
    curl -H "Authorization: Bearer $AI_SERVER_API_KEY" http://127.0.0.1:8000/api/GetSummaryStats
    ```
    """
    if call.owner != ADMIN_ID:
        raise Forbidden("Only the admin key may see the usage of all keys. /usage shows that of yours.")
    first = _day(request.query_params.get("from"), "from") or date(1970, 1, 1)
    last = _day(request.query_params.get("to"), "to") or date(9999, 12, 31)
    found = await call.services.ledger.rows(f"{first}", f"{last}", task="chat")
    rows = [row for row in found if row.totals.prompt_tokens]
    body = SummaryStatsResponse(
        provider_stats=_stats((row.key.provider, row.totals) for row in rows),
        model_stats=_stats((row.key.model, row.totals) for row in rows),
        month_stats=_stats((row.key.day[:7], row.totals) for row in rows),
    )
    return JSONResponse(body.model_dump(mode="json", by_alias=True))


def _owner(call: Call, query: Mapping[str, str]) -> str | None:
    """Give whose usage is asked for; None is everybody's."""
    wants_all = query.get("all", "").lower() in ("true", "1")
    asked = query.get("apiKeyId") or call.owner
    if call.owner != ADMIN_ID and (wants_all or asked != call.owner):
        raise Forbidden("Only the admin key may see the usage of other keys.", "apiKeyId")
    return None if wants_all else asked


def _day(text: str | None, name: str) -> date | None:
    """Read a day: ISO 8601, or as ServiceStack's clients write a moment."""
    if not text:
        return None
    try:
        if match := _DATE.fullmatch(text):
            return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(match[1]))).date()
        return datetime.fromisoformat(text).date()
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"'{name}' must be a day like 2026-11-25. Received: {text:.60}", name) from error


def _sums(totals: Totals) -> dict[str, Any]:
    found = vars(totals)
    return {
        **{name: value for name, value in found.items() if name not in ("audio_s", "cost", "seconds")},
        "audio_seconds": round(totals.audio_s, 3),
        "seconds": round(totals.seconds, 3),
        "cost_usd": round(totals.cost, 6),
    }


def _view(row: UsageRow) -> UsageView:
    key = row.key
    return UsageView(
        day=key.day,
        api_key_id=key.owner,
        task=key.task,
        model=key.model,
        provider=key.provider,
        **_sums(row.totals),
    )


def _stats(named: Iterable[tuple[str, Totals]]) -> tuple[SummaryStats, ...]:
    sums: dict[str, Totals] = {}
    for name, totals in named:
        sums.setdefault(name, Totals()).add(totals)
    return tuple(
        SummaryStats(
            name=name,
            total=totals.requests,
            total_prompt_tokens=totals.prompt_tokens,
            total_completion_tokens=totals.completion_tokens,
            total_minutes=round(totals.seconds / 60, 2),
            tokens_per_second=round(totals.completion_tokens / totals.seconds, 1) if totals.seconds else 0.0,
        )
        for name, totals in sorted(sums.items())
    )
