"""An API that keeps files of projects, and lets an agent at them only as far as its human may go.

Register it as docs/guides/resource-servers.md says, then, with `countersign-sdk[flask]` installed:
`ISSUER=… CLIENT_ID=sa_9 CLIENT_SECRET=… flask --app app run --port 8080`.
"""

import os

from countersign_sdk import ResourceServer
from countersign_sdk.flask import requires
from flask import Flask, abort, g, request
from flask.typing import ResponseReturnValue

app = Flask(__name__)
server = ResourceServer(
    issuer=os.environ["ISSUER"],
    audience=os.environ.get("AUDIENCE", "https://api.acme.example"),
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
)
files: dict[tuple[str, str], bytes] = {}


@app.get("/whoami")
@requires(server)
def who_am_i() -> ResponseReturnValue:
    return {"agent": g.identity.service_account, "human": g.identity.user}


@app.get("/projects/<path:project>/files/<name>")
@requires(server, "code.read", resource="{project}")
def read(project: str, name: str) -> ResponseReturnValue:
    return files.get((project, name)) or abort(404)


@app.put("/projects/<path:project>/files/<name>")
@requires(server, "code.write", resource="{project}")
def write(project: str, name: str) -> ResponseReturnValue:
    files[project, name] = request.get_data()
    return "", 204
