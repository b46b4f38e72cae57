# A formula for Homebrew. Not tested: our tests run on Linux without Homebrew. Set sha256 to that of the release's archive.
class Libredlock < Formula
  desc "Distributed locks over independent Redis masters"
  homepage "https://github.com/libredlock/libredlock"
  url "https://github.com/libredlock/libredlock/archive/refs/tags/v0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    # The CMake build knows ELF systems only.
    system "cargo", "rustc", "--locked", "--release", "--lib", "--crate-type", "cdylib,staticlib"
    version_major = version.major
    if OS.mac?
      lib.install "target/release/libredlock.dylib" => "libredlock.#{version_major}.dylib"
      MachO::Tools.change_dylib_id("#{lib}/libredlock.#{version_major}.dylib", "#{lib}/libredlock.#{version_major}.dylib")
      lib.install_symlink "libredlock.#{version_major}.dylib" => "libredlock.dylib"
    else
      lib.install "target/release/libredlock.so" => "libredlock.so.#{version_major}"
      lib.install_symlink "libredlock.so.#{version_major}" => "libredlock.so"
    end
    lib.install "target/release/libredlock.a"
    include.install "include/redlock.h", "bindings/c/redlock.hpp", "bindings/c/redlock"
    (lib/"pkgconfig/redlock.pc").write <<~PC
      prefix=#{opt_prefix}
      Name: redlock
      Description: Distributed locks over independent Redis masters
      Version: #{version}
      Libs: -L${prefix}/lib -lredlock
      Cflags: -I${prefix}/include
    PC
  end

  test do
    (testpath/"version.c").write <<~C
      #include <redlock.h>
      #include <stdio.h>
      int main(void) { return puts(redlock_version()) < 0; }
    C
    system ENV.cc, "version.c", "-I#{include}", "-L#{lib}", "-lredlock", "-Wl,-rpath,#{lib}", "-o", "version"
    assert_match version.to_s, shell_output("./version")
  end
end
