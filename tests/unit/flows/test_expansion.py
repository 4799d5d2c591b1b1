import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.flows.expansion import (
    MAX_EXPANDED,
    check_expandable,
    expand,
    references,
)

KEY = "id_tokens.AWS_ID_TOKEN.aud"
VARIABLES = {"HOST": "vault.example.com", "EMPTY": "", "DOLLAR": "$HOST ${HOST} $$", "_a1": "x"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("https://vault.example.com", "https://vault.example.com"),
        ("$HOST", "vault.example.com"),
        ("https://${HOST}/v1", "https://vault.example.com/v1"),
        ("$HOST:8200", "vault.example.com:8200"),
        ("${HOST}x$HOST", "vault.example.comxvault.example.com"),
        ("$_a1-$_a1", "x-x"),
        ("$$HOST", "$HOST"),
        ("$$$HOST", "$vault.example.com"),
        ("a$EMPTY", "a"),
        ("$DOLLAR", "$HOST ${HOST} $$"),
        ("", ""),
    ],
)
def test_each_reference_is_replaced_once(text, expanded):
    assert expand(text, VARIABLES, KEY) == expanded


@pytest.mark.parametrize(
    "text", ["$", "a$", "$ HOST", "${HOST", "${}", "$-", "$1", "${HOST-x}", "${ HOST }", "$é"]
)
def test_a_lone_dollar_is_refused(text):
    assert "lone `$`" in check_expandable(text)
    with pytest.raises(InvalidInput, match="lone") as refused:
        expand(text, VARIABLES, KEY)
    assert str(refused.value).startswith(KEY)


@pytest.mark.parametrize("text", ["$MISSING", "x${MISSING}", "$MISSING_TOO $HOST", "$host"])
def test_an_unknown_variable_is_named_with_the_remedy(text):
    with pytest.raises(
        InvalidInput, match=r"no variable (MISSING|host).*declare it under `variables`"
    ) as refused:
        expand(text, VARIABLES, KEY)
    assert str(refused.value).startswith(KEY)


@pytest.mark.parametrize("text", ["$BIG", "$HALF$HALF$HALF", "x" * (MAX_EXPANDED + 1), "$HALF" * 100_000])
def test_the_result_is_bounded_before_it_is_built(text):
    variables = {"BIG": "secretive" * MAX_EXPANDED, "HALF": "h" * (MAX_EXPANDED // 2)}
    with pytest.raises(InvalidInput, match="more than 4096 characters") as refused:
        expand(text, variables, KEY)
    assert "secretive" not in str(refused.value)


def test_the_bound_itself_fits():
    assert len(expand("$HALF$HALF", {"HALF": "h" * (MAX_EXPANDED // 2)}, KEY)) == MAX_EXPANDED


def test_references_are_the_names_whose_values_are_asked_for():
    assert references("$A/${B}-$A$$C$") == {"A", "B"}


@given(
    st.text("$AB{}x", max_size=200),
    st.fixed_dictionaries({"A": st.text("$AB{}", max_size=9), "B": st.text("$AB{}", max_size=9)}),
)
def test_what_a_value_holds_is_never_read_again(text, variables):
    if check_expandable(text) is None and references(text) <= variables.keys():
        places = expand(text, {"A": "\1", "B": "\2"}, KEY)
        filled = "".join({"\1": variables["A"], "\2": variables["B"]}.get(c, c) for c in places)
        assert expand(text, variables, KEY) == filled


@given(st.text(max_size=300))
def test_escaping_every_dollar_gives_the_text_back(text):
    assert expand(text.replace("$", "$$"), {}, KEY) == text


@given(st.text("$A{}x ", max_size=100))
def test_what_passes_the_check_expands_once_its_names_are_known(text):
    variables = dict.fromkeys(references(text), "v")
    if check_expandable(text) is None:
        assert "\0" not in expand(text, variables, KEY)
    else:
        with pytest.raises(InvalidInput, match="lone"):
            expand(text, variables, KEY)
