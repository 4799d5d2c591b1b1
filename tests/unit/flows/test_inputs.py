import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.flows.configuration import parse
from app.flows.inputs import checked_inputs


def flow(**inputs):
    return parse(yaml.safe_dump({"flows": {"f": {"script": ["make"], "inputs": inputs}}}).encode()).flow("f")


@pytest.mark.parametrize(
    ("declared", "given", "reaches"),
    [
        ({}, "", ""),
        ({}, " any text\n", " any text\n"),
        ({"type": "string"}, "007", "007"),
        ({"options": ["a", "b"]}, "b", "b"),
        ({"regex": "^v[0-9]+$"}, "v22", "v22"),
        ({"regex": "v"}, "above", "above"),
        ({"type": "number"}, "3", "3"),
        ({"type": "number"}, "-1.50", "-1.5"),
        ({"type": "number"}, "-0.0", "0"),
        ({"type": "number"}, "2.000", "2"),
        ({"type": "number"}, 3, "3"),
        ({"type": "number"}, 0.25, "0.25"),
        ({"type": "number", "options": [1, 2.5]}, "2.50", "2.5"),
        ({"type": "boolean"}, "true", "true"),
        ({"type": "boolean"}, "False", "false"),
        ({"type": "boolean"}, True, "true"),
    ],
)
def test_a_value_reaches_the_steps_in_its_canonical_text(declared, given, reaches):
    assert checked_inputs(flow(i=declared), {"i": given}) == {"i": reaches}


@pytest.mark.parametrize(
    ("declared", "given", "says"),
    [
        ({}, 3, "must be text"),
        ({}, True, "must be text"),
        ({}, "a\0b", "without NUL"),
        ({}, "\ud800", "without NUL"),
        ({}, "x" * 8193, "at most 8192"),
        ({"options": ["a", "b"]}, "hunter2", "choose one of a, b"),
        ({"regex": "^v[0-9]+$"}, "v1\n", r"has to match the regular expression ^v[0-9]+$"),
        ({"regex": "^v[0-9]+$"}, "v\u0661", "has to match"),
        *(
            ({"type": "number"}, given, "must be a number in digits")
            for given in [
                "",
                "x",
                "1e3",
                "0x1",
                "01",
                "+1",
                ".5",
                "1.",
                " 1",
                "1\n",
                "\u0661",
                "nan",
                "9" * 19,
            ]
        ),
        ({"type": "number"}, True, "must be a number in digits"),
        ({"type": "number"}, 1e300, "must be a number in digits"),
        ({"type": "number", "options": [1, 2.5]}, "3", "choose one of 1, 2.5"),
        *(({"type": "boolean"}, given, "must be `true` or `false`") for given in ["", "yes", 1, "true "]),
    ],
)
def test_a_value_of_another_kind_is_refused_by_what_is_asked_for(declared, given, says):
    with pytest.raises(InvalidInput, match=r"^inputs\.i: ") as refused:
        checked_inputs(flow(i=declared), {"i": given})
    assert says in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_what_is_not_given_has_its_default():
    declared = {
        "text": {"default": "a"},
        "empty": {"default": ""},
        "number": {"type": "number", "default": 1.5},
        "quoted": {"type": "number", "default": "1.50"},
        "boolean": {"type": "boolean", "default": False},
    }
    assert checked_inputs(flow(**declared), {}) == {
        "text": "a",
        "empty": "",
        "number": "1.5",
        "quoted": "1.5",
        "boolean": "false",
    }


def test_what_has_no_default_is_required():
    with pytest.raises(InvalidInput, match=r"^inputs\.i: is required by flow f: give it a value$"):
        checked_inputs(flow(i={"type": "boolean"}), {})


def test_what_is_not_declared_is_refused_with_what_is():
    with pytest.raises(InvalidInput, match=r"^inputs\.x: is not declared by flow f, which declares: a, b$"):
        checked_inputs(flow(b={"default": ""}, a={"default": ""}), {"x": "hunter2"})


def test_what_cannot_be_a_name_is_not_repeated():
    with pytest.raises(InvalidInput, match=r"^inputs: is not declared by flow f, which declares: none$"):
        checked_inputs(flow(), {"hunter2!": "x"})


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**15), max_value=10**15))
def test_equal_numbers_have_one_text(number):
    declared = flow(i={"type": "number"})
    (plain,) = checked_inputs(declared, {"i": f"{number:f}"}).values()
    (longer,) = checked_inputs(declared, {"i": f"{number:f}" + "0"}).values()
    assert plain == longer
    assert number == type(number)(plain)
    assert checked_inputs(declared, {"i": plain}) == {"i": plain}


@pytest.mark.timeout(20)
def test_no_expression_takes_long_whatever_it_is_given():
    declared = flow(i={"regex": "^(a+)+$"}, j={"regex": "(a|a)*b", "default": "b"})
    with pytest.raises(InvalidInput, match="has to match"):
        checked_inputs(declared, {"i": "a" * 8000 + "!"})
