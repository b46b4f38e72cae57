# What is installed, where, and in which component: Runtime is what a program needs to run, Development
# to be built, Debug to be debugged.
include(CMakePackageConfigHelpers)

set(redlock_config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Redlock")
set(redlock_pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# What debuggers want is most of the libraries' size, and lies in a file of its own, which they find by its name.
set(redlock_installed_dir "${redlock_lib_dir}")
if(REDLOCK_INSTALL_STRIPPED)
  set(redlock_installed_dir "${PROJECT_BINARY_DIR}/stripped")
  set(redlock_debug_file "${redlock_installed_dir}/${redlock_shared_file}.debug")
  add_custom_command(
    OUTPUT "${redlock_installed_dir}/${redlock_shared_file}" "${redlock_debug_file}" "${redlock_installed_dir}/libredlock.a"
    COMMAND
      "${CMAKE_COMMAND}" -E env "LD=${CMAKE_LINKER}" "OBJCOPY=${CMAKE_OBJCOPY}" "NM=${CMAKE_NM}" "AR=${CMAKE_AR}"
      "${PROJECT_SOURCE_DIR}/cmake/strip-libraries" "${redlock_lib_dir}/${redlock_shared_file}"
      "${redlock_lib_dir}/libredlock.a" "${redlock_installed_dir}"
    DEPENDS "${PROJECT_SOURCE_DIR}/cmake/strip-libraries" "${redlock_lib_dir}/${redlock_shared_file}"
            "${redlock_lib_dir}/libredlock.a"
    COMMENT "Stripping the libraries that are installed"
    VERBATIM)
  add_custom_target(redlock_stripped ALL DEPENDS "${redlock_debug_file}")
  add_dependencies(redlock_stripped redlock_cargo)
  install(
    FILES "${redlock_debug_file}"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/.debug"
    COMPONENT Debug)
endif()

install(
  FILES "${redlock_installed_dir}/${redlock_shared_file}" "${redlock_lib_dir}/${redlock_soname}"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  COMPONENT Runtime)
install(
  FILES "${redlock_lib_dir}/libredlock.so" "${redlock_installed_dir}/libredlock.a"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  COMPONENT Development)

# The declarations alone, for the foreign function interfaces that parse C but have no preprocessor (PHP, LuaJIT).
set(redlock_ffi_header "${PROJECT_BINARY_DIR}/redlock.ffi.h")
add_custom_command(
  OUTPUT "${redlock_ffi_header}"
  COMMAND sh -c "grep -v '^#include' \"$1\" | \"$0\" -E -P -x c - -o \"$2\"" "${CMAKE_C_COMPILER}"
          "${PROJECT_SOURCE_DIR}/include/redlock.h" "${redlock_ffi_header}"
  DEPENDS "${PROJECT_SOURCE_DIR}/include/redlock.h"
  COMMENT "Preprocessing redlock.h for other languages"
  VERBATIM)
add_custom_target(redlock_ffi_header ALL DEPENDS "${redlock_ffi_header}")
install(
  FILES "${redlock_ffi_header}"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT Development)

install(
  FILES ${redlock_headers}
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT Development)
install(
  DIRECTORY ${redlock_header_dirs}
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT Development)

configure_package_config_file(
  cmake/RedlockConfig.cmake.in "${PROJECT_BINARY_DIR}/RedlockConfig.cmake"
  INSTALL_DESTINATION "${redlock_config_dir}"
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR #
  NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# The SONAME promises that programs built against one version run with all later ones of its major version.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/RedlockConfigVersion.cmake" COMPATIBILITY SameMajorVersion)
install(
  FILES "${PROJECT_BINARY_DIR}/RedlockConfig.cmake" "${PROJECT_BINARY_DIR}/RedlockConfigVersion.cmake"
  DESTINATION "${redlock_config_dir}"
  COMPONENT Development)

# redlock.pc says where everything is relative to where it lies itself, so that the installed tree may be moved.
function(redlock_path_for_pkgconfig path result)
  if(IS_ABSOLUTE "${path}")
    set(${result} "${path}" PARENT_SCOPE)
  else()
    set(${result} "\${prefix}/${path}" PARENT_SCOPE)
  endif()
endfunction()
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(redlock_pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH redlock_pc_up "/${redlock_pkgconfig_dir}" "/")
  string(REGEX REPLACE "/$" "" redlock_pc_up "${redlock_pc_up}")
  set(redlock_pc_prefix "\${pcfiledir}/${redlock_pc_up}")
endif()
redlock_path_for_pkgconfig("${CMAKE_INSTALL_LIBDIR}" redlock_pc_libdir)
redlock_path_for_pkgconfig("${CMAKE_INSTALL_INCLUDEDIR}" redlock_pc_includedir)
string(REPLACE ";" " " redlock_pc_libs_private "${redlock_native_libs}")
configure_file(cmake/redlock.pc.in "${PROJECT_BINARY_DIR}/redlock.pc" @ONLY)
install(
  FILES "${PROJECT_BINARY_DIR}/redlock.pc"
  DESTINATION "${redlock_pkgconfig_dir}"
  COMPONENT Development)

# Elsewhere than where the loader looks by itself, programs do not find the library until they are told.
install(
  CODE "if(\"\$ENV{DESTDIR}\" STREQUAL \"\" AND NOT \"\${CMAKE_INSTALL_PREFIX}\" MATCHES \"^/usr(/local)?/?$\")
    set(libdir \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}\")
    message(STATUS \"To use it from there: export PKG_CONFIG_PATH=\${libdir}/pkgconfig LD_LIBRARY_PATH=\${libdir}\")
  endif()"
  COMPONENT Runtime)

install(
  FILES "${PROJECT_SOURCE_DIR}/LICENSE-MIT" "${PROJECT_SOURCE_DIR}/LICENSE-APACHE"
  DESTINATION "${CMAKE_INSTALL_DOCDIR}"
  COMPONENT Runtime)
