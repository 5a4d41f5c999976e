"""What holds for every request: nothing unknown passes, pairs have no direction, the worst wins, more is never better."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cito.plugins.clinical.dosing import parse_timing
from cito.plugins.clinical.vocabulary import Allergy, Severity
from cito.plugins.drugs.models import Status
from cito.plugins.drugs.triage import triage
from cito.plugins.drugs.triage_models import Allergen, Order, Taken
from cito.plugins.drugs.triage_rules import load_rules

COUNTS = [100, pytest.param(2_000, marks=pytest.mark.full)]
STRANGE = [
    "xyzzy",
    "paracetomol",
    "amoxicilin",
    "prednis",
    "Tylenol 4",
    "rofecoxib",
    "ibuprofene forte",
    "",
    "?",
]
DOSAGES = [
    None,
    "daily",
    "bid",
    "2 tablets four times a day",
    "q4-6h prn",
    "biweekly",
    "sliding scale",
    "take 2 daily",
    "mañana",
    "weekly",
    "as directed",
    "12 times a day",
]


@pytest.fixture(scope="module")
def names(case_drugs):
    known = [
        name
        for drug in case_drugs.values()
        for name in (drug.generic_name, *drug.brand_names, *drug.keywords)
    ]
    return [*known, *STRANGE]


@pytest.fixture(scope="module")
def requests(vocabulary, names):
    """A strategy of orders, allergens and medicines taken."""
    order = st.builds(
        lambda name, dosage, strength: Order(
            name, vocabulary.lookup(name), strength, None, None if dosage is None else parse_timing(dosage)
        ),
        st.sampled_from(names),
        st.sampled_from(DOSAGES),
        st.sampled_from([None, "500 mg", "5 mg/5 mL", "?"]),
    )
    allergen = st.builds(
        lambda name, severity, verified: Allergen(Allergy(name, severity, verified), vocabulary.lookup(name)),
        st.sampled_from([*names, "penicillin", "sulfa", "peanuts"]),
        st.sampled_from(list(Severity)),
        st.booleans(),
    )
    taken = st.builds(lambda name: Taken(name, vocabulary.lookup(name)), st.sampled_from(names))
    return st.tuples(
        st.lists(order, min_size=1, max_size=5), st.lists(allergen, max_size=2), st.lists(taken, max_size=2)
    )


def ask(orders, allergens, taken):
    return triage(orders, allergens, taken, load_rules(), jurisdiction="US")


@pytest.mark.parametrize("count", COUNTS)
def test_no_request_with_an_unknown_suggested_or_unread_item_is_auto(requests, count):
    @settings(max_examples=count, deadline=None)
    @given(requests)
    def check(request):
        orders, allergens, taken = request
        verdict = ask(orders, allergens, taken)
        for at, order in enumerate(orders):
            unread = order.timing is not None and order.timing.status in {"unparsed", "ambiguous"}
            if order.resolution.status is not Status.RESOLVED or unread:
                assert verdict.route != "auto"
                assert verdict.item_routes[at].rank >= 2
        if any(medicine.resolution.drug is None for medicine in taken):
            assert verdict.route != "auto"
        assert verdict.route == max(
            (reason.route for reason in verdict.reasons), key=lambda r: r.rank, default="auto"
        )
        if verdict.route == "auto":
            assert not verdict.flags

    check()


@pytest.mark.parametrize("count", COUNTS)
def test_order_of_items_changes_nothing_and_adding_never_makes_it_better(requests, count):
    @settings(max_examples=count, deadline=None)
    @given(requests, st.randoms(use_true_random=False))
    def check(request, rng: random.Random):
        orders, allergens, taken = request
        verdict = ask(orders, allergens, taken)
        places = list(range(len(orders)))
        rng.shuffle(places)
        shuffled = ask([orders[at] for at in places], allergens[::-1], taken[::-1])
        assert shuffled.route == verdict.route
        assert set(shuffled.flags) == set(verdict.flags)
        assert [shuffled.item_routes[new] for new in range(len(places))] == [
            verdict.item_routes[at] for at in places
        ]
        fewer = ask(orders[:1], allergens[:1], ())
        assert fewer.route.rank <= verdict.route.rank

    check()
