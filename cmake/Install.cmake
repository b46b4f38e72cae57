# What is installed, where, and in which component: Runtime is what a program needs to run, Development to be built.
include(CMakePackageConfigHelpers)

set(redlock_config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Redlock")
set(redlock_pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

install(
  FILES "${redlock_lib_dir}/${redlock_shared_file}" "${redlock_lib_dir}/${redlock_soname}"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  COMPONENT Runtime)
install(
  FILES "${redlock_lib_dir}/libredlock.so" "${redlock_lib_dir}/libredlock.a"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  COMPONENT Development)
install(
  FILES ${redlock_headers}
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT Development)
install(
  DIRECTORY ${redlock_header_dirs}
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT Development)

# CMake strips what its own targets made, and ours were made by cargo; so `cmake --install --strip` is obeyed by hand.
# relative_file is a file's name below the prefix, strip_option what strip may take away.
function(redlock_strip_installed relative_file strip_option component)
  if(NOT CMAKE_STRIP)
    return()
  endif()
  if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(file "\$ENV{DESTDIR}${CMAKE_INSTALL_LIBDIR}/${relative_file}")
  else()
    set(file "\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/${relative_file}")
  endif()
  install(
    CODE "if(CMAKE_INSTALL_DO_STRIP OR \"${REDLOCK_STRIP}\")
      execute_process(COMMAND \"${CMAKE_STRIP}\" ${strip_option} \"${file}\")
    endif()"
    COMPONENT ${component})
endfunction()
redlock_strip_installed("${redlock_shared_file}" --strip-unneeded Runtime)
redlock_strip_installed(libredlock.a --strip-debug Development)

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

install(
  FILES "${PROJECT_SOURCE_DIR}/LICENSE-MIT" "${PROJECT_SOURCE_DIR}/LICENSE-APACHE"
  DESTINATION "${CMAKE_INSTALL_DOCDIR}"
  COMPONENT Runtime)
