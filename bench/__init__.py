"""What the README's figures come from, and how to measure them again: ``python -m bench``.

Everything is measured in alternating rounds on loopback, so that a noisy machine disturbs all alike, and
counted in CPU time of whole process trees: neither the load generator nor a neighbour enters it.
"""
