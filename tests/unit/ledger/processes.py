"""Processes that write into one ledger at once, and make checkpoints while they do."""

from app.db import Patience
from app.settings import Settings
from app.wiring import Components
from tests.support.together import together
from tests.unit.ledger.ledgers import chances, write

PROCESSES = 3


def written_by_processes(components: Components, folder: str) -> None:
    """As many chains as processes have threads, under checkpoints of all of them."""
    url = components.database.url.render_as_string(hide_password=False)
    settings = components.settings
    environment = {
        "COUNTERSIGN_ISSUER": settings.issuer,
        "COUNTERSIGN_HOME_DIR": str(settings.home_dir),
        "COUNTERSIGN_KEYS_DIR": str(settings.keys_dir),
        "COUNTERSIGN_KEYS_PASSPHRASE": components.keys_passphrase.reveal(),
        "COUNTERSIGN_DATABASE_URL": url,
    }
    seeds = chances(len(folder))
    ended = together(PROCESSES, _write, environment, seeds.randrange(1000))
    assert ended == [0] * PROCESSES


def _write(environment: dict[str, str], seed: int) -> None:
    patience = Patience(connect=60, lock=60, statement=0)
    components = Components(Settings.from_env(environment), patience=patience)
    for part in range(3):
        write(components, seed + part, writers=2, transactions=5)
        components.checkpoints.make()
    components.database.dispose()
