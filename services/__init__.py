"""The four stages of the quality cycle, one service each. They share no database and no code path but events."""
