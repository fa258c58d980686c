"""The cards of the methods: one for each scheme, with the settings and numbers of their sources."""

import pytest

import nmlib as nm
from nmlib.methods import CARDS
from nmlib.paper.numbers import read_table


def test_every_scheme_has_a_card_and_every_row_of_the_tables_too():
    assert list(CARDS) == list(nm.SCHEMES)
    assert all(card.scheme is nm.SCHEMES[name] and card.source for name, card in CARDS.items())
    for table in (2, 3):
        rows = set(read_table(table)["method"])
        assert rows <= {card.name for card in CARDS.values() if card.in_tables}


@pytest.mark.parametrize("name", CARDS)
def test_what_is_expected_is_in_print(name):
    assert bool(CARDS[name].expected) == CARDS[name].in_tables


def test_noisymix():
    card = CARDS["noisymix"]
    found = card.expected
    assert found[2, "CIFAR-10-C"] == "91.2" and found[3, "CIFAR-100-C"] == "71.9"
    assert found[3, "CIFAR-10"] == "96.3" and len(found) == 8
    assert card.settings.divergence == "12 × JSD" and card.exceptions == {}


def test_settings_that_depend_on_data_and_network_are_named():
    nfm, augmax = CARDS["nfm"].exceptions, CARDS["augmax"].exceptions
    assert set(nfm) == {f"CIFAR-{n}, Wide-ResNet-28x2" for n in (10, 100)}
    assert nfm["CIFAR-10, Wide-ResNet-28x2"].noise == "1, 0.5"
    assert {k: s.divergence for k, s in augmax.items()} == {"CIFAR-100, PreActResNet-18": "1 × JSD"}
