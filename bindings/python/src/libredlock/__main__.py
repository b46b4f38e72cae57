"""``python -m libredlock``: which version and which C library are in use, and whether `redlock` is this package too."""

import sys

from . import __version__, library_path, library_version
from ._mixed import trouble

print(f"libredlock {__version__}, with the C library {library_version()} from {library_path()}")
_trouble = trouble()
print(_trouble or "redlock is the same package")
sys.exit(_trouble is not None)
