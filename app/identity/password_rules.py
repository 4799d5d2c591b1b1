"""What makes a password (NIST SP 800-63B-4 §3.1.1.2): its length, and that it is none that is tried first.

There are no rules of composition. A password that is guessable words with little added is one of those words.
"""

import re
import unicodedata

from app.errors import InvalidInput
from app.secret import Secret

SHORTEST, LONGEST = 12, 128
_LONGEST_BEFORE = 4 * LONGEST
"""Characters, before they are normalised: that takes time, and shortens what is meant to be long."""
_PRODUCT = "countersign"
_OWN_SHORTEST = 3
_LEAST_BESIDE = 8
"""Characters that are left of a good one when guessable words are taken out of it."""
_FEWEST_DIFFERENT = 5
_COMMON = """
123456789012345 1234567890 0123456789 0987654321 123456789 12345678 1234567 987654321 1234 112233 11223344
password passw0rd p@ssword p@ssw0rd pa$$word pa$$w0rd passwort motdepasse contraseña wachtwoord пароль
qwertyuiop qwertzuiop azertyuiop qwerty qwertz azerty asdfghjkl asdfgh zxcvbnm йцукен
1q2w3e4r5t6y 1q2w3e4r q1w2e3r4t5y6 q1w2e3r4 1qaz2wsx3edc4rfv 1qaz2wsx3edc 1qaz2wsx qazwsxedcrfv qazwsx
zaq12wsx abcdefghijklmnopqrstuvwxyz abcdefghijkl abcdefgh abc123 abcd1234 a1b2c3d4 aa123456
administrator admin root superuser letmein welcome changeme default secret topsecret guest test trustno1
iloveyou ihateyou sunshine princess football baseball superman batman starwars monkey dragon shadow whatever
michaeljordan manchesterunited liverpoolfc chocolate butterfly computer internet
correcthorsebatterystaple correct-horse-battery-staple thisismypassword mypassword opensesame
""".split()  # noqa: SIM905 - a page of words


def normalised(password: Secret) -> str | None:
    """In the one form that is hashed, NFKC; ``None`` for what no password can be, and none is set to."""
    text = password.reveal()
    if len(text) > _LONGEST_BEFORE or any(unicodedata.category(each) in {"Cc", "Cs"} for each in text):
        return None
    text = unicodedata.normalize("NFKC", text)
    return text if len(text) <= LONGEST else None


def check(password: Secret, login: str, email: str) -> str:
    """The normalised form of one that may be set; ``InvalidInput`` says what to do, and repeats nothing."""
    text = normalised(password)
    if text is None:
        raise InvalidInput(f"password: use at most {LONGEST} characters, and no control characters")
    if len(text) < SHORTEST:
        raise InvalidInput(f"password: use at least {SHORTEST} characters, such as four words by chance")
    if len(set(text.casefold())) < _FEWEST_DIFFERENT:
        raise InvalidInput("password: repeats a few characters: choose another")
    if _is_left_little(text, [login, email, email.partition("@")[0], _PRODUCT]):
        raise InvalidInput(
            "password: is your login, your e-mail address or this product's name with little added: "
            "choose another"
        )
    if _is_left_little(text, _COMMON):
        raise InvalidInput("password: is among those that are tried first: choose another")
    return text


def _is_left_little(text: str, words: list[str]) -> bool:
    folded = text.casefold()
    known = sorted({each.casefold() for each in words if len(each) >= _OWN_SHORTEST}, key=len, reverse=True)
    left = re.sub("|".join(map(re.escape, known)), "", folded)
    return left != folded and len(left) < _LEAST_BESIDE
