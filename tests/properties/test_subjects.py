"""Two projects never mint the same subject, whatever they are called, were called, and chose."""

from itertools import count as numbers
from itertools import product

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from app.errors import Conflict, InvalidInput
from app.flows.subjects import subject_of
from app.identity import projects
from app.identity.composite import Composite, Person
from app.identity.models import Project
from app.protocol.subjects import COMPONENTS, LEADING
from tests.support.components import NOW, OPERATOR
from tests.support.effort import count

ALICE = {"user_id": 42, "user_login": "alice", "user_email": "alice@example.com"}
RUNNERS = (
    Person(**ALICE),
    Composite(
        **ALICE,
        service_account_id=7,
        service_account="duo",
        delegation_id=1,
        delegation_scopes=None,
        delegation_expires_at=NOW,
    ),
)
REFS = tuple(
    {"ref_type": "branch", "ref": ref, "ref_protected": "false"}
    for ref in ("main", "main:flow:deploy", "deploy", "1:flow:deploy", "%3A", "user_login:alice")
)
FLOWS = ("deploy", "main")
COMPONENT_LISTS = st.tuples(
    st.sampled_from(LEADING), st.lists(st.sampled_from(COMPONENTS[len(LEADING) :]), max_size=1)
).map(lambda parts: (parts[0], *parts[1]))
NAMES = st.sampled_from(["web", "deploy"])
PROJECTS = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("create"), NAMES, COMPONENT_LISTS),
    st.tuples(st.just("rename"), PROJECTS, NAMES),
    st.tuples(st.just("choose"), PROJECTS, COMPONENT_LISTS),
    st.tuples(st.just("delete"), PROJECTS),
)
_GROUPS = numbers()


@settings(
    max_examples=count(ci=250, proof=5_000), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(steps=st.lists(STEPS, min_size=6, max_size=20))
def test_no_subject_is_ever_two_projects(shared_world, steps):
    group, owners, made = f"group-{next(_GROUPS)}", {}, []
    with shared_world.components.database.writing() as session:
        for step in steps:
            try:
                _take(session, group, made, *step)
            except (Conflict, InvalidInput) as refusal:
                event(f"{step[0]}: {str(refusal)[:30]}")
            for project in [each for each in made if each.deleted_at is None]:
                for text in _minted(project):
                    assert owners.setdefault(text, project.id) == project.id, (text, steps)


def _take(session, group, made, kind, *arguments):
    by_now = {"by": OPERATOR, "now": NOW}
    if kind == "create":
        name, components = arguments
        made.append(projects.create_project(session, f"{group}/{name}", subject=components, **by_now))
        return
    living = [each for each in made if each.deleted_at is None]
    if not living:
        return
    project: Project = living[arguments[0] % len(living)]
    if kind == "rename":
        projects.rename_project(session, project, f"{group}/{arguments[1]}", **by_now)
    elif kind == "choose":
        projects.set_subject(session, project, arguments[1], **by_now)
    else:
        projects.delete_project(session, project, **by_now)
        session.flush()


def _minted(project):
    """The subjects of its runs, whoever runs what, from wherever."""
    for runner, flow, refs in product(RUNNERS, FLOWS, REFS):
        try:
            yield subject_of(project, flow, runner, refs)
        except InvalidInput:
            continue
