"""Session tags for AWS, on request."""

import pytest

from app.errors import InvalidInput
from app.flows import configurations
from app.flows.aws_tags import tags
from app.protocol.claims import AWS_TAGS
from tests.support.components import OPERATOR, parts

from .test_alone import begin
from .test_overtaken import executed

FLOW = b"""
id_tokens:
  AWS_ID_TOKEN: {aud: sts.amazonaws.com, aws_tags: true}
  OTHER: {aud: sts.amazonaws.com}
flows:
  fix-ci: {script: ["true"]}
"""


def test_a_token_has_them_where_it_was_asked_for_and_no_other(world):
    configurations.store(world.components.database, world.clock, world.project, FLOW, OPERATOR)
    claims = {}

    def after(tokens):
        claims.update({name: parts(each.token.reveal())[1] for name, each in tokens.ids.items()})

    executed(world, begin(world, "duo"), after=after)
    assert AWS_TAGS not in claims["OTHER"]
    asked = claims["AWS_ID_TOKEN"].pop(AWS_TAGS)
    assert asked["principal_tags"] == {
        name: [claims["AWS_ID_TOKEN"][name]] for name in asked["transitive_tag_keys"]
    }
    assert asked["principal_tags"]["project_path"] == ["acme/webapp"]
    assert asked["principal_tags"]["service_account"] == ["duo"]
    assert "user_email" not in asked["principal_tags"]


@pytest.mark.parametrize("value", ["fix#12", "", "x" * 257, "a,b", "a\n"])
def test_a_value_that_aws_refuses_is_refused_here_by_its_name(value):
    with pytest.raises(
        InvalidInput, match=r"^id_tokens.A.aws_tags: AWS takes no tag with the ref of this run"
    ):
        tags({"project_path": "acme/webapp", "ref": value}, "id_tokens.A")


@pytest.mark.parametrize("value", ["feature/a_b.c:d=e+f-g@h", "größe 2", "x" * 256])
def test_what_aws_takes_is_taken(value):
    said = tags({"ref": value}, "id_tokens.A")[AWS_TAGS]
    assert said == {"principal_tags": {"ref": [value]}, "transitive_tag_keys": ["ref"]}
