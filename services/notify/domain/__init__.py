"""Decisions of the notify service: who hears of what, and what of it they may see. No I/O, no clock."""
