"""Pure decisions of the funding stage: no I/O, no clock, no randomness."""
