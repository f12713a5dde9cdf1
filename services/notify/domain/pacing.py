"""How long to wait before the next try."""

#: After the first failure, at most, in seconds: a hiccup of the mail server should hardly be felt.
FIRST_DELAY_S = 0.5

#: Longest wait, in seconds: once the mail server is back, mail flows again within a minute.
LONGEST_DELAY_S = 60.0

#: Doubling beyond this is over the longest wait anyway, and 2 ** failures would grow without end.
_ENOUGH_DOUBLINGS = 10


def delay_s(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, up to LONGEST_DELAY_S.

    ``chance``, 0 to 1, takes up to half of it off, so that many who failed together do not try together.
    """
    whole = min(FIRST_DELAY_S * 2 ** min(max(failures - 1, 0), _ENOUGH_DOUBLINGS), LONGEST_DELAY_S)
    return whole * (1 - chance / 2)
