"""Is the process alive, is it ready to issue, and what has it counted."""

import logging
from time import perf_counter

from flask import Blueprint, Flask, Response, g, jsonify, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from app import doctor
from app.endpoints import key_metrics, run_metrics
from app.wiring import Components

_log = logging.getLogger(__name__)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUESTS = Counter(
    "countersign_http_requests_total", "Requests answered by Flask.", ["endpoint", "method", "status"]
)
_SECONDS = Histogram("countersign_http_request_duration_seconds", "Time to answer a request.", ["endpoint"])


def blueprint(components: Components) -> Blueprint:
    health = Blueprint("health", __name__)
    keys, runs = key_metrics.registry(components), run_metrics.registry(components)

    @health.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @health.get("/readyz")
    def readyz() -> tuple[Response, int]:
        """Strangers read the names of what is wrong; the log and `countersign doctor` say more."""
        found = doctor.readiness(components.database, components.keyring)
        faults = [check for check in found if check.fault]
        for check in faults:
            _log.warning("%s not ready: %s: %s", g.request_id, check.name, check.fault)
        named = [check.name for check in faults]
        found = doctor.warnings(components.keyring, components.overdue_before())
        warnings = [check.name for check in found if check.fault]
        return jsonify(ready=not faults, faults=named, warnings=warnings), 503 if faults else 200

    @health.get("/metrics")
    def metrics() -> Response:
        return Response(
            b"".join(generate_latest(each) for each in (_registry(), keys, runs)),
            content_type=CONTENT_TYPE_LATEST,
        )

    return health


def _registry() -> CollectorRegistry:
    """The counts of all web workers together where `serve` has made a directory for them, else our own."""
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError:
        return REGISTRY
    return registry


def count_requests(app: Flask) -> None:
    @app.before_request
    def begin() -> None:
        g.began = perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        endpoint = request.endpoint or "none"
        method = request.method if request.method in _METHODS else "other"  # strangers would make up series
        _REQUESTS.labels(endpoint, method, response.status_code).inc()
        _SECONDS.labels(endpoint).observe(perf_counter() - g.began)
        return response
