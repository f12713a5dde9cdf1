"""One realistic quality cycle, played through the public HTTP APIs and watched on the topics."""
