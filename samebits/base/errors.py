"""The error that users see as one sentence; it imports nothing, so that every room may raise it."""


class UserError(Exception):
    """A mistake that the user can mend: the message says what is wrong, where, and what would be right."""

    exit_code = 1
