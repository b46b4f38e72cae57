"""Takes a lock with the package that is installed; `python use.py FOLDER URL...` fails if it comes from outside of the folder."""

import sys

import libredlock
from redlock import RedLock

folder, urls = sys.argv[1], sys.argv[2:]
if folder not in libredlock.library_path():
    sys.exit("the library is {}".format(libredlock.library_path()))
with RedLock("dist:python", urls, ttl=10000) as validity:
    if validity <= 0:
        sys.exit("there is no validity")
print("held, with", libredlock.library_path())
