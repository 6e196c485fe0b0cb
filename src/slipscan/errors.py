"""The one exception that carries a sentence for the user."""


class SlipscanError(Exception):
    """Bad input or an impossible request, said in one sentence: what, where, what to do.

    The command line prints the sentence as its last line on stderr and exits with status 1; a traceback
    is kept for what is a bug.
    """
