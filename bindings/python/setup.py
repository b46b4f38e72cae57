"""Puts the C library into the package: what cargo builds, or the file that the variable REDLOCK_LIBRARY names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist
from setuptools_rust import Binding, RustExtension, Strip
from setuptools_rust.build import build_rust

HERE = Path(__file__).resolve().parent
SONAME = "libredlock.0.dylib" if sys.platform == "darwin" else "libredlock.so.0"
#: A built library that goes into the wheel as it is.
GIVEN = os.environ.get("REDLOCK_LIBRARY")
#: The crate: within a source distribution, or in the clone around this folder.
CRATE = HERE / "rust" if (HERE / "rust").exists() else HERE.parent.parent


class WithLibrary(Distribution):
    """Not for all platforms, also when the library was built before."""

    def has_ext_modules(self) -> bool:
        return True


class BuildPackage(build_py):
    """Adds the library that is given."""

    def run(self) -> None:
        super().run()
        if GIVEN and not self.editable_mode:
            shutil.copy(GIVEN, Path(self.build_lib, "libredlock", SONAME))


class BuildLibrary(build_rust):
    """Gives the library the name that its SONAME says; it is no module of Python."""

    def get_dylib_ext_path(self, ext: RustExtension, target_fname: str) -> str:
        return str(Path(super().get_dylib_ext_path(ext, target_fname)).with_name(SONAME))


class OneForAllPythons(bdist_wheel):
    """A wheel for every version of Python: the library knows nothing of them."""

    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


class WithCrate(sdist):
    """Adds the crate, as cargo packages it, and the licences."""

    def make_release_tree(self, base_dir: str, files: Any) -> None:
        super().make_release_tree(base_dir, files)
        target = Path(base_dir, "rust")
        if CRATE == HERE / "rust":
            shutil.copytree(CRATE, target, dirs_exist_ok=True)
            return
        command = ["cargo", "package", "--locked", "--no-verify", "--allow-dirty", "--target-dir", str(HERE / "build/cargo")]
        subprocess.run(command, cwd=CRATE, check=True)
        (archive,) = (HERE / "build/cargo/package").glob(f"libredlock-{self.distribution.get_version()}.crate")
        with tarfile.open(archive) as crate:
            crate.extractall(base_dir)
        Path(base_dir, archive.stem).rename(target)


def licences() -> None:
    """Copies the licences into this folder, from where setuptools takes them."""
    for path in CRATE.glob("LICENSE-*"):
        if not (HERE / path.name).exists():
            shutil.copy(path, HERE)


licences()
setup(
    distclass=WithLibrary,
    cmdclass={"build_py": BuildPackage, "build_rust": BuildLibrary, "bdist_wheel": OneForAllPythons, "sdist": WithCrate},
    rust_extensions=[]
    if GIVEN
    else [
        RustExtension(
            "libredlock.library", str(CRATE / "Cargo.toml"), args=["--locked"], binding=Binding.NoBinding, strip=Strip.All
        )
    ],
)
