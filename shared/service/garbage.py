"""The garbage collector, set up for a process that takes in events in batches."""

import gc

#: Objects that may be made before the youngest are looked through; Python's own choice is 700. The batch that is
#: applied and the one that is fetched ahead hold some seventy thousand, and nearly all of them are freed without the
#: collector.
_YOUNG = 100_000


def settle() -> None:
    """Leave what the program consists of alone from now on, and look through the rest less often.

    Called once, when all is loaded. By default a collector that meets a batch of events looks through the modules,
    models and routes that will never be garbage, again and again: a third of the consumer's time, and pauses of tens
    of milliseconds in the way of whatever comes by.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
