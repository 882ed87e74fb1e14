"""Whether an API key may still spend something this month."""

from cluster.api_keys import ApiKey
from cluster.usage import UsageLedger
from deployments.errors import BudgetSpent


async def check_budget(key: ApiKey, ledger: UsageLedger) -> None:
    """Refuse what would cost more.

    Raises:
        BudgetSpent: the key has cost as much as it may this month.
        StoreUnavailable: it is the first question about this key, and the database does not answer.
    """
    if key.monthly_budget is not None and await ledger.spent(key.id) >= key.monthly_budget:
        raise BudgetSpent(key.monthly_budget)
