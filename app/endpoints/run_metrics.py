"""How many runs wait and go on, on all nodes; absent while the database does not answer."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from app.flows.runs import under_way_by_state
from app.wiring import Components


class Runs(Collector):
    def __init__(self, components: Components) -> None:
        self._components = components

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            with self._components.database.reading() as session:
                counted = under_way_by_state(session)
        except SQLAlchemyError:
            return
        gauge = GaugeMetricFamily("countersign_runs", "Runs that have not ended.", labels=["state"])
        for state, number in counted.items():
            gauge.add_metric([state], number)
        yield gauge


def registry(components: Components) -> CollectorRegistry:
    """Of its own: what every node sees is not added up over processes."""
    own = CollectorRegistry(auto_describe=False)
    own.register(Runs(components))
    return own
