"""Which resource servers may learn of what is issued for them (RFC 7662 §2.1): one rule for every door."""

from functools import cache

from sqlalchemy import Connection, Exists, bindparam, exists, select

from app.prepared import Prepared
from app.tokens.audiences import AudienceKind
from app.tokens.models import Audience, AudienceIntrospector


def of_some_api() -> Exists:
    """Parameter ``caller``: a service account's number, or nobody's."""
    return exists().where(
        AudienceIntrospector.audience_id == Audience.id,
        AudienceIntrospector.service_account_id == bindparam("caller"),
        Audience.kind == AudienceKind.API.value,
    )


def of_this_api() -> Exists:
    """Parameter ``audience`` as well, in canonical form."""
    return of_some_api().where(Audience.canonical == bindparam("audience"))


def is_introspector(connection: Connection, service_account_id: int) -> bool:
    """Whether it is told of tokens for any audience at all."""
    found = _is_introspector().row(connection, {"caller": service_account_id})
    return found is not None and bool(found.it_is)


@cache
def _is_introspector() -> Prepared:
    return Prepared(select(of_some_api().label("it_is")))
