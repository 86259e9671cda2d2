"""The one exception whose text is meant for the user."""


class UserError(ValueError):
    """Something the user can mend. ``str(error)`` is one sentence: what is wrong, where, and what to do."""
