"""Triage: where a request for medicines goes, and every reason why. Pure: facts in, verdict out.

Nothing passes by default: what is unknown, merely similar or unread goes to a person. The worst reason wins.
"""

from __future__ import annotations

from collections.abc import Sequence

from cito.plugins.drugs.triage_allergies import check_allergies
from cito.plugins.drugs.triage_checks import check_order, check_totals
from cito.plugins.drugs.triage_models import Allergen, Order, Reason, Route, Taken, Verdict
from cito.plugins.drugs.triage_pairs import check_pairs
from cito.plugins.drugs.triage_rules import Rules


def triage(
    orders: Sequence[Order],
    allergens: Sequence[Allergen],
    taken: Sequence[Taken],
    rules: Rules,
    *,
    jurisdiction: str,
) -> Verdict:
    """Weigh a request.

    Args:
        orders: the medications, at least one.
        allergens: the patient's allergies, as far as anyone knows them.
        taken: what the patient takes already.
        rules: the rule data (`load_rules()`).
        jurisdiction: whose controlled schedules count, ISO 3166.

    Raises:
        ValueError: there is no medication.
    """
    if not orders:
        raise ValueError("a request names at least one medication")
    reasons: list[Reason] = []
    for at, order in enumerate(orders):
        reasons.extend(check_order(at, order, rules, jurisdiction))
    reasons.extend(check_totals(orders, rules))
    reasons.extend(check_pairs(orders, taken, rules))
    reasons.extend(check_allergies(orders, allergens, rules))
    reasons.sort(key=lambda reason: (-reason.route.rank, reason.items, reason.flag))
    return Verdict(
        route=_worst(reasons),
        item_routes=tuple(_worst([r for r in reasons if at in r.items]) for at in range(len(orders))),
        flags=tuple(dict.fromkeys(reason.flag for reason in reasons)),
        reasons=tuple(reasons),
        rules_version=rules.version,
    )


def _worst(reasons: Sequence[Reason]) -> Route:
    return max((reason.route for reason in reasons), key=lambda route: route.rank, default=Route.AUTO)
