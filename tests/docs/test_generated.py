"""The generated pages are what the code says now."""

import pytest

from tests.docs.generate import GENERATED
from tests.support.tools import ROOT


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_up_to_date(name):
    assert (ROOT / name).read_text() == GENERATED[name](), "run: python -m tests.docs.generate"
