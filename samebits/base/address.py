"""Addresses that may hold a password."""


def shown(address: str) -> str:
    """Return an address without user, password and options, fit to be printed."""
    scheme, separator, rest = address.partition("://")
    return scheme + separator + rest.rpartition("@")[2].partition("?")[0] if separator else address
