# Builds the command `testkit`, which runs a test among real Redis servers; TESTKIT is its path.

set(TESTKIT "${REDLOCK_CARGO_TARGET_DIR}/debug/testkit")
add_custom_target(
  testkit ALL
  COMMAND "${CMAKE_COMMAND}" -E env "CARGO_TARGET_DIR=${REDLOCK_CARGO_TARGET_DIR}" #
          "${REDLOCK_CARGO}" build --locked --package testkit --bin testkit
  BYPRODUCTS "${TESTKIT}"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
  COMMENT "cargo build --package testkit"
  USES_TERMINAL VERBATIM)
