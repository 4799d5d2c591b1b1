from tests.support.components import (  # noqa: F401 - pytest finds fixtures by name
    backend,
    clock,
    components,
    database_url,
    empty_database,
    peopled,
    prepared,
    prepared_postgresql,
    shared_components,
    shared_world,
    world,
)
