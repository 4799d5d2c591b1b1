"""One-time links to the console, from an administrator's hand."""

from app.clock import rfc3339
from app.errors import Denied
from app.identity import accounts
from app.identity import sign_in_links as domain
from app.operations.call import Call
from app.operations.caller import Proof
from app.operations.operation import By, Resource
from app.operations.schemas import Login, Output, Time
from app.representation import Shape

sign_in_links = Resource("Sign-in links")


class LinkAnswer(Output):
    """`url` is shown once; its secret is the fragment, which browsers send to nobody."""

    url: str
    expires_at: Time


@sign_in_links.operation(
    "POST", "/users/{login}/sign-in-link", by=By.ADMINISTRATOR, answer=LinkAnswer, statuses=(200,)
)
def issue_sign_in_link(call: Call, login: Login) -> Shape:
    """Make, in the console alone, a link that signs a user in, once, for 15 minutes; an earlier one dies.

    Whoever opens it is that user: hand it over as you would a password. No token makes one: it would become
    that user, and outlive itself. Operators have `countersign user sign-in-link` on the server.
    """
    if call.caller.proof is not Proof.SESSION:
        raise Denied(
            "Make a sign-in link in the console, or on the server with countersign user sign-in-link: a "
            "token must not make itself a human in person."
        )
    user = accounts.find_user(call.session, login)
    issued = domain.issue(call.session, user, by=call.by, now=call.now)
    url = domain.url(call.components.settings.issuer, issued.secret)
    return {"url": url, "expires_at": rfc3339(issued.expires_at)}
