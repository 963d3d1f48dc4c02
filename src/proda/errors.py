"""The errors that a user meets: each names the file or value, what was expected and what to do."""


class ProdaError(ValueError):
    """Base of every error the package raises on purpose."""


class InputError(ProdaError):
    """A file, a table, a setting or an argument is not what it should be."""


class MissingOutput(ProdaError):
    """A stage is asked for that has not been run, was interrupted, or is older than what it was made from."""


class DownloadError(ProdaError):
    """A public file could not be downloaded whole."""
