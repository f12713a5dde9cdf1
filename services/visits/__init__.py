"""Visits: what a concern calls for, who goes, and what the panel found."""
