"""The log: one line an event, on stderr; what came from outside cannot start a line of its own."""

import logging
import sys


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Control characters are escaped, a traceback is indented under its line (ASVS 16.4.1)."""
        head, *rest = super().format(record).split("\n")
        return "\n  ".join("".join(escaped(each) for each in line) for line in (head, *rest))


def configure(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in (
        "alembic",
        "urllib3",
        "hvac",
        "boto3",
        "botocore",
    ):  # they tell at INFO and DEBUG what nobody asked
        logging.getLogger(name).setLevel(logging.WARNING)


def escaped(character: str) -> str:
    return character if character.isprintable() or character == "\t" else repr(character)[1:-1]
