"""An API that keeps files of projects, and lets an agent at them only as far as its human may go.

docs/guides/resource-servers.md registers it and runs it.
"""

import os

from countersign_sdk import ResourceServer
from countersign_sdk.flask import requires
from flask import Flask, abort, g, request
from flask.typing import ResponseReturnValue

app = Flask(__name__)
server = ResourceServer(
    issuer=os.environ["ISSUER"],
    audience="https://api.acme.example",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
)
files: dict[tuple[str, str], bytes] = {}


@app.get("/healthz")
def healthy() -> ResponseReturnValue:
    return {"healthy": True}


@app.get("/whoami")
@requires(server)
def who_am_i() -> ResponseReturnValue:
    return {"agent": g.identity.service_account, "human": g.identity.user}


@app.get("/projects/<path:project>/files/<name>")
@requires(server, "code.read", resource="{project}")
def read(project: str, name: str) -> ResponseReturnValue:
    return files[project, name] if (project, name) in files else abort(404)


@app.put("/projects/<path:project>/files/<name>")
@requires(server, "code.write", resource="{project}")
def write(project: str, name: str) -> ResponseReturnValue:
    files[project, name] = request.get_data()
    return "", 204
