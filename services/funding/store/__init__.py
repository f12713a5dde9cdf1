"""The only place that knows the tables of the funding stage."""
