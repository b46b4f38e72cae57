# A port for vcpkg, to be used as an overlay. Not tested: vcpkg fetches itself and its tools from where our tests cannot.
# It needs cargo; set SHA512 to that of the release's archive.
vcpkg_from_github(
  OUT_SOURCE_PATH SOURCE_PATH
  REPO libredlock/libredlock
  REF "v${VERSION}"
  SHA512 0
  HEAD_REF main)

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS -DREDLOCK_BUILD_TESTS=OFF -DREDLOCK_BUILD_EXAMPLES=OFF -DREDLOCK_INSTALL_STRIPPED=ON)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(PACKAGE_NAME Redlock CONFIG_PATH lib/cmake/Redlock)
vcpkg_fixup_pkgconfig()

if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
  file(GLOB shared "${CURRENT_PACKAGES_DIR}/lib/libredlock.so*" "${CURRENT_PACKAGES_DIR}/debug/lib/libredlock.so*")
  file(REMOVE ${shared})
else()
  file(REMOVE "${CURRENT_PACKAGES_DIR}/lib/libredlock.a" "${CURRENT_PACKAGES_DIR}/debug/lib/libredlock.a")
endif()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share" "${CURRENT_PACKAGES_DIR}/lib/.debug"
     "${CURRENT_PACKAGES_DIR}/debug/lib/.debug")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE-MIT" "${SOURCE_PATH}/LICENSE-APACHE")
