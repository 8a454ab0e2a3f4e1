"""Errors a user can cause and mend: shown as one line, with exit code 2, never as a traceback."""


class UserError(Exception):
    """What went wrong and what to do about it, in one line naming the file or key."""


class UnavailableError(UserError):
    """Something outside the project (network weights, a server, a package) cannot be had now."""


class StateMismatchError(UserError):
    """A paused state holds tensors of other names or shapes than the networks that it should continue."""
