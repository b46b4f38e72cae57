"""Has PyInstaller put the C library beside the package, where the package looks for it."""

from PyInstaller.utils.hooks import collect_dynamic_libs

# The name ends in `.so.0`, which is none of the endings that PyInstaller looks for by itself.
binaries = collect_dynamic_libs("libredlock", search_patterns=["libredlock.so.0", "libredlock.0.dylib"])
# `redlock` gives its modules the names of these.
hiddenimports = ["libredlock.aio"]
