"""Token inspector: what is in a token is read by the page's script; nothing of it ever comes here."""

from urllib.parse import urlsplit

from app.protocol.metadata import JWKS
from app.tokens.verifiers import EXCLUDES
from app.web.console import Answer, console, page
from app.web.scopes import MEANINGS
from app.web.visit import this_visit


@console.get("/inspector")
def inspector() -> Answer:
    issuer = this_visit().components.settings.issuer
    knowledge = {
        "issuer": issuer,
        "jwks": urlsplit(issuer).path + JWKS,
        "excludes": EXCLUDES,
        "scopes": MEANINGS,
    }
    return page("inspector/index.html", knowledge=knowledge, issuer=issuer, excludes=EXCLUDES)
