"""Use cases of the funding stage: load, decide, save and emit, in one transaction each."""
