"""Use cases: load, decide, save and emit, in one transaction each."""
