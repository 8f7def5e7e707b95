"""All methods: how they are told apart, and chosen."""

import dataclasses
import json

import pytest

from sss.errors import InputError
from sss.evaluation.methods.base import LAYER_COUNTS
from sss.evaluation.methods.registry import METHODS, chosen_methods
from sss.evaluation.plan import describe_method


def test_no_two_methods_are_described_alike() -> None:
    told = [json.dumps(describe_method(method), sort_keys=True) for method in METHODS.values()]
    assert len(set(told)) == len(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_every_field_of_a_method_is_described(name: str) -> None:
    method = METHODS[name]
    told = describe_method(method)
    assert (told["name"], told["scales"]) == (name, list(method.scales))
    for field in dataclasses.fields(method):  # type: ignore[arg-type]
        assert field.name in told or field.name == "title"


def test_settings_of_the_core_are_described() -> None:
    method = METHODS["sss"]
    core = method.core  # type: ignore[attr-defined]
    assert describe_method(method)["core"] == dataclasses.asdict(core)


def test_chosen_methods() -> None:
    assert [method.name for method in chosen_methods([], None)] == ["sss"]
    chosen = chosen_methods(["kmeans", "fh", "sss-auto", "kmeans"], (2, 5))
    assert [method.name for method in chosen] == ["kmeans", "fh", "sss-auto"]
    assert chosen[0].scales == (2, 5)
    assert [m.scales for m in chosen[1:]] == [METHODS[m.name].scales for m in chosen[1:]]
    assert METHODS["kmeans"].scales == LAYER_COUNTS
    with pytest.raises(InputError, match=r"unknown --method .kmean.; did you mean .*kmeans"):
        chosen_methods(["kmean"], None)
