"""Decisions of the visits stage. Pure: the day, the policies and what is known come in as arguments."""
