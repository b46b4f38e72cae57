"""The version of this package, which is that of the C library it was made for."""

__version__ = "0.1.0"
