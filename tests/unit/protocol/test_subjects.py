"""Subjects: what may be in one, and that each is read in one way only."""

import re

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.protocol.subjects import COMPONENTS, DEFAULT, LEADING, checked, parse, require_room, subject

VALUES = {
    "project_path": "acme/webapp",
    "project_id": "7",
    "flow": "fix-ci",
    "service_account": "duo",
    "user_id": "42",
    "user_login": "alice",
    "ref_type": "branch",
    "ref": "main",
    "ref_protected": "true",
}


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ("project_path,flow", "project_path:acme/webapp:flow:fix-ci"),
        ("project_id", "project_id:7"),
        ("project_id,ref,flow", "project_id:7:ref:main:flow:fix-ci"),
        (
            "project_path,service_account,user_id,user_login",
            "project_path:acme/webapp:service_account:duo:user_id:42:user_login:alice",
        ),
        (
            "project_path,ref_type,ref,ref_protected",
            "project_path:acme/webapp:ref_type:branch:ref:main:ref_protected:true",
        ),
    ],
)
def test_a_subject_is_names_and_values_in_the_order_that_was_chosen(components, expected):
    assert subject(parse(components), VALUES) == expected


@pytest.mark.parametrize(
    ("components", "reason"),
    [
        ("", "write components out of"),
        ("project_path,", "write components out of"),
        ("project_path, flow", "write components out of"),
        ("project_path,sub", "write components out of"),
        ("project_path,user_email", "write components out of"),
        ("flow,project_path", "begin with project_path or project_id"),
        ("user_id", "begin with project_path or project_id"),
        ("project_path,flow,flow", "twice"),
    ],
)
def test_a_list_that_cannot_be_is_refused(components, reason):
    with pytest.raises(InvalidInput, match=f"^subject: .*{reason}"):
        parse(components)


def test_no_component_at_all_is_refused():
    with pytest.raises(InvalidInput, match="begin with"):
        checked([])


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("feature/login", "feature/login"),
        ("a:b", "a%3Ab"),
        ("a%3Ab", "a%253Ab"),
        ("fix#12", "fix%2312"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("a b\n", "a%20b%0A"),
    ],
)
def test_what_could_be_taken_for_more_is_percent_encoded(value, written):
    assert subject(("project_id", "ref"), VALUES | {"ref": value}) == f"project_id:7:ref:{written}"


@pytest.mark.parametrize("name", [each for each in COMPONENTS if each not in LEADING])
def test_what_a_run_lacks_is_refused_with_the_remedy(name):
    without = {each: value for each, value in VALUES.items() if each != name}
    for lacking in (without, VALUES | {name: ""}):
        with pytest.raises(InvalidInput, match=rf"no {name}: .*leave the component out"):
            subject(("project_id", name), lacking)


def test_127_bytes_are_taken_and_128_are_not():
    room = 127 - len("project_id:7:flow:")
    assert len(subject(("project_id", "flow"), VALUES | {"flow": "x" * room})) == 127
    with pytest.raises(InvalidInput, match="would have 128 bytes, and some verifiers refuse more than 127"):
        subject(("project_id", "flow"), VALUES | {"flow": "x" * (room + 1)})


def test_bytes_count_as_they_are_written():
    with pytest.raises(InvalidInput, match="bytes"):
        subject(("project_id", "ref"), VALUES | {"ref": "ö" * 20})


def test_a_list_without_room_for_one_of_the_flows_is_refused_beforehand():
    known = {"project_path": "a/" + "x" * 98, "project_id": "7"}
    require_room(DEFAULT, known)
    require_room(DEFAULT, known, ["x" * 8])
    with pytest.raises(InvalidInput, match="128 bytes"):
        require_room(DEFAULT, known, ["short", "x" * 9])
    with pytest.raises(InvalidInput, match="bytes"):
        require_room(("project_path", "flow", "user_login"), known)


LISTS = st.tuples(
    st.sampled_from(LEADING), st.lists(st.sampled_from(COMPONENTS[len(LEADING) :]), max_size=4, unique=True)
).map(lambda parts: (parts[0], *parts[1]))
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12) | st.sampled_from(
    ["a:flow:b", "a:flow", "b", "%3A", ":", "7", "project_id:7", "a%3Aflow%3Ab"]
)


@st.composite
def described(draw):
    """A list, and a value for each of its components."""
    names = draw(LISTS)
    return names, {name: draw(TEXTS) for name in names}


def text_of(names, values):
    """Where it is not too long: half of them are not."""
    try:
        return subject(names, values)
    except InvalidInput:
        reject()


@given(described(), described())
def test_one_subject_has_one_meaning(one, other):
    """Whatever stands in refs, logins and paths, and however the components are chosen."""
    if one != other:
        assert text_of(*one) != text_of(*other)


@given(described())
def test_a_subject_is_short_ascii_that_can_be_read_back(described):
    names, values = described
    text = text_of(names, values)
    assert re.fullmatch(r"[A-Za-z0-9._~/%:_-]{1,127}", text, re.ASCII)
    assert tuple(text.split(":")[::2]) == names
