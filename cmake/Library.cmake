# Runs cargo for the library and describes what it made as the targets Redlock::shared, Redlock::static and Redlock::redlock.

if(NOT UNIX OR APPLE)
  message(FATAL_ERROR "This CMake build knows ELF systems (Linux, the BSDs) only; elsewhere use `cargo rustc --release --lib --crate-type cdylib`.")
endif()

find_program(REDLOCK_CARGO cargo HINTS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin" DOC "The cargo that builds libredlock")
if(NOT REDLOCK_CARGO AND NOT REDLOCK_PREBUILT_DIR)
  message(FATAL_ERROR "libredlock is written in Rust and cargo was not found; install Rust or set REDLOCK_CARGO.")
endif()

# An old cargo fails in words that do not name the reason; so it is named here.
function(redlock_check_cargo_version)
  file(STRINGS "${PROJECT_SOURCE_DIR}/Cargo.toml" line LIMIT_COUNT 1 REGEX "^rust-version = ")
  string(REGEX MATCH "[0-9.]+" needed "${line}")
  execute_process(
    COMMAND "${REDLOCK_CARGO}" --version
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    OUTPUT_VARIABLE output)
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" found "${output}")
  if(found VERSION_LESS needed)
    message(FATAL_ERROR "libredlock needs Rust ${needed}; ${REDLOCK_CARGO} is of version '${found}'.")
  endif()
endfunction()
if(NOT REDLOCK_PREBUILT_DIR)
  redlock_check_cargo_version()
endif()

# The folder in which cargo leaves its products; its dev profile builds into `debug`.
if(REDLOCK_CARGO_PROFILE STREQUAL dev)
  set(redlock_cargo_output "${REDLOCK_CARGO_TARGET_DIR}/${REDLOCK_CARGO_TARGET}/debug")
else()
  set(redlock_cargo_output "${REDLOCK_CARGO_TARGET_DIR}/${REDLOCK_CARGO_TARGET}/${REDLOCK_CARGO_PROFILE}")
endif()
set(redlock_cargo_arguments --profile "${REDLOCK_CARGO_PROFILE}")
if(REDLOCK_CARGO_TARGET)
  list(APPEND redlock_cargo_arguments --target "${REDLOCK_CARGO_TARGET}")
endif()

# The names under which the library lies here and where it is installed; build.rs gives it the same SONAME.
set(redlock_soname "libredlock.so.${PROJECT_VERSION_MAJOR}")
set(redlock_shared_file "libredlock.so.${PROJECT_VERSION}")
set(redlock_lib_dir "${PROJECT_BINARY_DIR}/lib")

# Whether anything has to be built is for cargo to know, so it is asked each time; what did not change is not copied, and
# nothing is linked again because of it.
if(REDLOCK_PREBUILT_DIR)
  set(redlock_cargo_output "${REDLOCK_PREBUILT_DIR}")
  set(redlock_cargo_command "${CMAKE_COMMAND}" -E echo "The libraries of ${REDLOCK_PREBUILT_DIR} are taken as they are")
else()
  set(redlock_cargo_command
      "${CMAKE_COMMAND}" -E env "CARGO_TARGET_DIR=${REDLOCK_CARGO_TARGET_DIR}" #
      "${REDLOCK_CARGO}" rustc --locked --package libredlock --lib --crate-type cdylib,staticlib
      ${redlock_cargo_arguments})
endif()
add_custom_target(
  redlock_cargo ALL
  COMMAND ${redlock_cargo_command}
  COMMAND "${CMAKE_COMMAND}" -E make_directory "${redlock_lib_dir}"
  COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${redlock_cargo_output}/libredlock.a" "${redlock_lib_dir}/libredlock.a"
  COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${redlock_cargo_output}/libredlock.so"
          "${redlock_lib_dir}/${redlock_shared_file}"
  COMMAND "${CMAKE_COMMAND}" -E create_symlink "${redlock_shared_file}" "${redlock_lib_dir}/${redlock_soname}"
  COMMAND "${CMAKE_COMMAND}" -E create_symlink "${redlock_soname}" "${redlock_lib_dir}/libredlock.so"
  BYPRODUCTS "${redlock_lib_dir}/libredlock.a" "${redlock_lib_dir}/${redlock_shared_file}"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
  COMMENT "cargo rustc --profile ${REDLOCK_CARGO_PROFILE}"
  USES_TERMINAL VERBATIM)

# What a program that links the static library needs besides: rustc says it. The C compiler's own libraries are left to
# the C compiler, which takes another libgcc in a wholly static program than in others.
function(redlock_find_native_libs result)
  get_filename_component(cargo_dir "${REDLOCK_CARGO}" DIRECTORY)
  find_program(REDLOCK_RUSTC rustc HINTS "${cargo_dir}" DOC "The rustc that belongs to REDLOCK_CARGO")
  set(probe "${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/redlock_native_libs")
  file(WRITE "${probe}.rs" "")
  set(target_arguments "")
  if(REDLOCK_CARGO_TARGET)
    set(target_arguments --target "${REDLOCK_CARGO_TARGET}")
  endif()
  execute_process(
    COMMAND "${REDLOCK_RUSTC}" --crate-type staticlib --print native-static-libs ${target_arguments} -o "${probe}.a"
            "${probe}.rs"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    OUTPUT_VARIABLE output
    ERROR_VARIABLE output)
  if(NOT output MATCHES "native-static-libs: ([^\n]*)")
    message(FATAL_ERROR "rustc does not say which libraries a static library needs: ${output}")
  endif()
  separate_arguments(libs UNIX_COMMAND "${CMAKE_MATCH_1}")
  list(REMOVE_ITEM libs -lgcc_s -lgcc_eh -lgcc -lc)
  list(REMOVE_DUPLICATES libs)
  set(${result} "${libs}" PARENT_SCOPE)
endfunction()
if(REDLOCK_PREBUILT_DIR)
  file(STRINGS "${REDLOCK_PREBUILT_DIR}/native-libs" redlock_native_libs)
else()
  redlock_find_native_libs(redlock_native_libs)
endif()

# For C, and for C++, whose redlock.hpp includes the parts that lie in a folder beside it.
set(redlock_include_dirs "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/bindings/c")
set(redlock_headers "${PROJECT_SOURCE_DIR}/include/redlock.h" "${PROJECT_SOURCE_DIR}/bindings/c/redlock.hpp")
set(redlock_header_dirs "${PROJECT_SOURCE_DIR}/bindings/c/redlock")

add_library(Redlock::shared SHARED IMPORTED GLOBAL)
set_target_properties(
  Redlock::shared
  PROPERTIES IMPORTED_LOCATION "${redlock_lib_dir}/${redlock_shared_file}" #
             IMPORTED_SONAME "${redlock_soname}" #
             INTERFACE_INCLUDE_DIRECTORIES "${redlock_include_dirs}")
add_dependencies(Redlock::shared redlock_cargo)

add_library(Redlock::static STATIC IMPORTED GLOBAL)
set_target_properties(
  Redlock::static
  PROPERTIES IMPORTED_LOCATION "${redlock_lib_dir}/libredlock.a" #
             INTERFACE_INCLUDE_DIRECTORIES "${redlock_include_dirs}" #
             INTERFACE_LINK_LIBRARIES "${redlock_native_libs}")
add_dependencies(Redlock::static redlock_cargo)

add_library(Redlock::redlock INTERFACE IMPORTED GLOBAL)
if(REDLOCK_PREFER_STATIC)
  set_target_properties(Redlock::redlock PROPERTIES INTERFACE_LINK_LIBRARIES Redlock::static)
else()
  set_target_properties(Redlock::redlock PROPERTIES INTERFACE_LINK_LIBRARIES Redlock::shared)
endif()
