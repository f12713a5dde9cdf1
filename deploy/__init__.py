"""Everything about running the quality cycle: the one-machine runtime and the operator's command line."""
