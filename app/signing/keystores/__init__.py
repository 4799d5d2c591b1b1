"""Where private halves are kept, behind one interface (``base``): ``files``, ``database``, ``transit``.

A key is where its row in ``signing_keys`` says; new ones go where the settings say. Hands ``signing`` what
signs, and never a private half to anybody but ``moving``.
"""

from collections.abc import Callable, Mapping

from app.signing.keystores.base import Keystore, KeystoreError, KeystoreName, NewKey

__all__ = ["Keystore", "KeystoreError", "KeystoreName", "Keystores", "NewKey"]


class Keystores:
    """``current`` makes new keys; the others are there for the keys they still hold, built when needed."""

    def __init__(self, current: str, makers: Mapping[KeystoreName, Callable[[], Keystore]]) -> None:
        self._makers = makers
        self._made: dict[KeystoreName, Keystore] = {}
        self.current_name = KeystoreName(current)

    @property
    def current(self) -> Keystore:
        return self[self.current_name]

    def __getitem__(self, name: str) -> Keystore:
        """``KeystoreError`` for one that this node's settings do not open."""
        try:
            known = KeystoreName(name)
        except ValueError:
            raise KeystoreError(f"this version knows no keystore {name}: upgrade this node") from None
        if known not in self._made:
            self._made[known] = self._makers[known]()
        return self._made[known]
