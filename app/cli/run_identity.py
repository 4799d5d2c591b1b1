"""``countersign project subject`` and ``workload``: whom the tokens of a project's runs name."""

import click

from app import representation as shapes
from app.cli.console import Commands, installation, json_option, show
from app.flows.subjects import flows_of
from app.identity import projects
from app.identity.projects import Workload
from app.protocol import subjects


@click.group(cls=Commands)
def subject() -> None:
    """What makes the `sub` of a project's ID tokens, which trust policies bind.

    Example: countersign project subject set acme/webapp project_id,flow
    """


@subject.command("set")
@click.argument("path")
@click.argument("components", metavar="COMPONENT,...")
@json_option
def set_subject(path: str, components: str, as_json: bool) -> None:
    """Choose and order the components, project_path or project_id first.

    Trust policies that name the subject as it was no longer match.

    Example: countersign project subject set acme/webapp project_path,flow,ref_type,ref
    """
    _set_subject(path, subjects.parse(components), as_json=as_json)


@subject.command("reset")
@click.argument("path")
@json_option
def reset_subject(path: str, as_json: bool) -> None:
    """Back to project_path,flow.

    Example: countersign project subject reset acme/webapp
    """
    _set_subject(path, subjects.DEFAULT, as_json=as_json)


@subject.command("show")
@click.argument("path")
@json_option
def show_subject(path: str, as_json: bool) -> None:
    """Show the components of a project's subject.

    Example: countersign project subject show acme/webapp
    """
    with installation() as here, here.reading() as session:
        shape = shapes.project(projects.find_project(session, path))
    show(shape, subjects.written(shape["subject"]), as_json=as_json)


def _set_subject(path: str, components: tuple[str, ...], *, as_json: bool) -> None:
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        flows = flows_of(session, found)
        projects.set_subject(session, found, components, flows=flows, by=here.actor, now=here.now)
        shape = shapes.project(found)
    show(shape, f"runs in {path} have the subject {_pattern(shape)}", as_json=as_json)


def _pattern(shape: shapes.Shape) -> str:
    known = {"project_path": shape["path"], "project_id": str(shape["id"])}
    return ":".join(f"{name}:{known.get(name, '…')}" for name in shape["subject"])


@click.group(cls=Commands)
def workload() -> None:
    """Who runs a project's flows: a service account for a human, or the human alone as well.

    Example: countersign project workload set acme/webapp user
    """


@workload.command("set")
@click.argument("path")
@click.argument(
    "chosen", metavar="service_account|user", type=click.Choice([each.value for each in Workload])
)
@json_option
def set_workload(path: str, chosen: str, as_json: bool) -> None:
    """Choose: user lets humans start flows without a service account, service_account does not.

    Example: countersign project workload set acme/webapp user
    """
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        projects.set_workload(session, found, chosen, by=here.actor, now=here.now)
        shape = shapes.project(found)
    show(shape, f"flows in {path}: {_WORKLOADS[Workload(chosen)]}", as_json=as_json)


@workload.command("show")
@click.argument("path")
@json_option
def show_workload(path: str, as_json: bool) -> None:
    """Show who runs a project's flows.

    Example: countersign project workload show acme/webapp
    """
    with installation() as here, here.reading() as session:
        shape = shapes.project(projects.find_project(session, path))
    show(shape, shape["workload"], as_json=as_json)


_WORKLOADS = {
    Workload.SERVICE_ACCOUNT: "a service account runs them for a human",
    Workload.USER: "a service account runs them for a human, or a human alone",
}
