"""Metrics of the signing keys, from memory: a dead database leaves no gap in them."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from app.errors import Refusal
from app.wiring import Components


class SigningKeys(Collector):
    def __init__(self, components: Components) -> None:
        self._components = components

    def collect(self) -> Iterator[GaugeMetricFamily]:
        age = GaugeMetricFamily(
            "countersign_signing_key_age_seconds", "Since when the active key signs.", labels=["alg"]
        )
        overdue = GaugeMetricFamily(
            "countersign_signing_key_overdue", "Whether it should have been rotated by now.", labels=["alg"]
        )
        published = GaugeMetricFamily("countersign_signing_keys_published", "Keys in the JWKS.")
        try:
            snapshot = self._components.keyring.current()
        except (Refusal, SQLAlchemyError):
            return
        now, limit = self._components.clock(), self._components.overdue_before()
        for algorithm, key in sorted(snapshot.actives.items()):
            age.add_metric([algorithm], max(0.0, (now - key.since).total_seconds()))
            overdue.add_metric([algorithm], float(key.since < limit))
        published.add_metric([], len(snapshot.public_jwks))
        yield from (age, overdue, published)


def registry(components: Components) -> CollectorRegistry:
    """Of its own: the counters of several processes are added up elsewhere, ages are not."""
    own = CollectorRegistry()
    own.register(SigningKeys(components))
    return own
