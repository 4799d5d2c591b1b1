"""The console's files, read and compressed once, at addresses that change when any of them does."""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flask import Blueprint, abort, request, url_for
from werkzeug.http import quote_etag
from werkzeug.wrappers import Response

STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    body: bytes
    content_type: str

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.body, compresslevel=9, mtime=0)

    @cached_property
    def digest(self) -> str:
        return _digest(self.body)


class Assets:
    def __init__(self, folder: Path = STATIC) -> None:
        """Nothing is read before it is asked for; what lies elsewhere can never be."""
        self._folder = folder

    @cached_property
    def files(self) -> dict[str, Asset]:
        """``vendor/htmx.min.js``: what a browser needs of the folder, and nothing else in it."""
        return dict(sorted(self._read()))

    @cached_property
    def digest(self) -> str:
        """One for all of them, so that a module imports its neighbour by a relative address."""
        return _digest("".join(f"{name} {asset.digest}\n" for name, asset in self.files.items()).encode())

    def url(self, name: str) -> str:
        """The path of ``console.css``, below that of the issuer; raises ``KeyError`` for an unknown file."""
        self.files[name]
        return url_for("assets.file", digest=self.digest, name=name)

    def answer(self, digest: str, name: str) -> Response:
        """The file, kept for ever; but not under another release's address, as during an upgrade."""
        asset = self.files.get(name) or abort(404)
        zipped = request.accept_encodings.quality("gzip") > 0
        response = Response(asset.compressed if zipped else asset.body, content_type=asset.content_type)
        response.headers["Cache-Control"] = _FOR_EVER if digest == self.digest else "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.vary.add("Accept-Encoding")
        if zipped:
            response.content_encoding = "gzip"
        response.headers["ETag"] = quote_etag(asset.digest + ("-gzip" if zipped else ""))
        return response.make_conditional(request)

    def _read(self) -> Iterator[tuple[str, Asset]]:
        for file in self._folder.rglob("*"):
            if file.suffix in _TYPES and file.is_file():
                yield file.relative_to(self._folder).as_posix(), Asset(file.read_bytes(), _TYPES[file.suffix])


def blueprint(assets: Assets) -> Blueprint:
    """Their addresses, and ``asset(name)`` for every template; apart from the pages, which ask who it is."""
    blueprint = Blueprint("assets", __name__)
    blueprint.add_app_template_global(assets.url, "asset")
    blueprint.add_url_rule("/console/static/<digest>/<path:name>", "file", assets.answer)
    return blueprint


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
