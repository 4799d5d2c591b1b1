"""What the people of the API's tests are members of, and what runs for them."""

from app.flows import configurations
from app.flows.sources import Wanted
from app.flows.start import StartRequest, start
from app.identity import members
from tests.support.components import OPERATOR

YAML = b"flows:\n  fix-ci:\n    script: [make test]\n"


def give(world, role, *named, path="acme/webapp"):
    """A role there; again, another one."""
    for each in named:
        world.change(
            lambda session, named=each, **by_now: members.add_member(
                session, members.find_place(session, path), named, role, **by_now
            )
        )


def everybody(world, role):
    """Alice and duo have this role in the project, and so has shop, which acts alone."""
    give(world, role, "user:alice", "service_account:duo", "service_account:shop")


def new_run(world) -> int:
    """One of duo's for alice that nobody has begun; both are developers for that long."""
    parts = world.components
    configurations.store(parts.database, parts.clock, world.project, YAML, OPERATOR)
    request = StartRequest(
        project=world.project,
        flow="fix-ci",
        user="alice",
        service_account="duo",
        inputs={},
        source="test",
    )
    return start(parts.database, parts.clock, request, OPERATOR)


def new_source(world, host) -> None:
    """The project's configuration is in Git from now on, on this host."""
    repository = host.repository(world.project)
    repository.commit(YAML)
    wanted = Wanted.checked(repository.url, "main", None)
    world.components.source_reader.set(world.project, wanted, OPERATOR)
