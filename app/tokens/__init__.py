"""The only mint. Issuing is three steps behind one seam (``mint``):

``grants`` reads and decides, ``assembly`` assembles and signs, ``commit`` writes the token row and the
audit row if what was decided still holds. Authlib's server, a run and the command line call the same.
"""
