"""The recipe for Conan 2: builds libredlock with CMake and cargo from the sources of its version, or of the clone that it lies in."""

import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeToolchain
from conan.tools.files import copy, get, rm, rmdir
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"


class LibredlockConan(ConanFile):
    name = "libredlock"
    version = "0.1.0"
    license = "MIT OR Apache-2.0"
    homepage = "https://github.com/libredlock/libredlock"
    url = homepage
    description = "Distributed locks over independent Redis masters"
    topics = ("redis", "redlock", "lock", "distributed")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": False}

    def configure(self):
        # The library is written in Rust: no C++ compiler makes a difference to it.
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def validate(self):
        if self.settings.os not in ("Linux", "FreeBSD"):
            raise ConanInvalidConfiguration("libredlock's CMake build knows ELF systems only")

    def layout(self):
        # Not "src": that is a folder of the sources.
        basic_layout(self, src_folder="source")

    def export_sources(self):
        # In a clone, its sources; a recipe elsewhere fetches them.
        root = os.path.join(self.recipe_folder, "..", "..")
        if os.path.exists(os.path.join(root, "Cargo.toml")):
            # What Cargo.toml names as members must be there too; the tests are not built.
            for pattern in ("Cargo.*", "build.rs", "cbindgen.toml", "CMakeLists.txt", "README.md", "LICENSE-*", "CHANGELOG.md",
                            "src/*", "include/*", "cmake/*", "bindings/c/*", "examples/*.rs", "tests/*.rs", "tests/across/rust/*",
                            "tests/hostile/*", "tests/model/*", "tests/simulation/*", "tests/testkit/*"):
                copy(self, pattern, root, self.export_sources_folder, excludes=("*/target/*",))

    def source(self):
        if os.path.exists(os.path.join(self.export_sources_folder, "Cargo.toml")):
            copy(self, "*", self.export_sources_folder, self.source_folder)
        else:
            get(self, f"{self.homepage}/archive/v{self.version}.tar.gz", strip_root=True)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["REDLOCK_BUILD_TESTS"] = False
        toolchain.cache_variables["REDLOCK_BUILD_EXAMPLES"] = False
        toolchain.cache_variables["REDLOCK_PREBUILT_DIR"] = os.environ.get("REDLOCK_PREBUILT_DIR", "")
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE-*", self.source_folder, os.path.join(self.package_folder, "licenses"))
        lib = os.path.join(self.package_folder, "lib")
        rmdir(self, os.path.join(lib, "cmake"))
        rmdir(self, os.path.join(lib, "pkgconfig"))
        rmdir(self, os.path.join(lib, ".debug"))
        rmdir(self, os.path.join(self.package_folder, "share"))
        rm(self, "libredlock.a" if self.options.shared else "libredlock.so*", lib)

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "Redlock")
        self.cpp_info.set_property("cmake_target_name", "Redlock::redlock")
        self.cpp_info.set_property("pkg_config_name", "redlock")
        self.cpp_info.libs = ["redlock"]
        if not self.options.shared:
            self.cpp_info.system_libs = ["util", "rt", "pthread", "m", "dl"]
