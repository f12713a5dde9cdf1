"""Reference data of the domain: organisations, standards, calendars and the words used for them.

Everything here is pure: values and functions of values, and data files that ship with the package.
"""
