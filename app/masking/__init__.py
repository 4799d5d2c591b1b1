"""Keeps secrets and tokens out of logs: no eight consecutive characters of a value go into one.

What is looked for is not a value but every eight characters of it, in each form a program is likely to print
it in (``forms``), in a text read without what may stand between two characters (``reading``). So it matters
neither where a value is cut nor what another process writes into the middle of it. Text shaped like a JWT,
known or not, is masked as well (``shapes``). Out of reach: what a program does to a value beyond the forms
(encryption, compression, base32, reversal), and less than eight characters (sixteen in hexadecimal).
"""

from app.masking.forms import SHORTEST
from app.masking.masker import Masker
from app.masking.shapes import JWT_REACH
from app.masking.stream import MASK, MaskedStream

__all__ = ["JWT_REACH", "MASK", "SHORTEST", "MaskedStream", "Masker"]
