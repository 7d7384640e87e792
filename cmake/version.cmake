# bitstill_version: what bitstill/base/version.hpp promises, in one source that is written anew at
# build time only when the commit or the flags changed.
# Runs in two roles: included by CMakeLists.txt, and as the script of the build step (-DOUTPUT=...).

if(CMAKE_SCRIPT_MODE_FILE)
  execute_process(
    COMMAND git -c "safe.directory=${ROOT}" describe --always --dirty --abbrev=12
    WORKING_DIRECTORY "${ROOT}"
    OUTPUT_VARIABLE COMMIT
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT COMMIT)
    set(COMMIT unknown)
  endif()
  configure_file("${ROOT}/cmake/version.cpp.in" "${OUTPUT}" @ONLY)
  return()
endif()

set(version_source "${CMAKE_BINARY_DIR}/generated/version.cpp")
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
string(JOIN " " flags "${CMAKE_BUILD_TYPE}" "${CMAKE_CXX_COMPILER_ID}"
       "${CMAKE_CXX_COMPILER_VERSION}" "-ffp-contract=off" ${CMAKE_CXX_FLAGS}
       ${CMAKE_CXX_FLAGS_${build_type}})
if(BITSTILL_CUDA)
  string(APPEND flags " CUDA")
endif()
set(version_command
    ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} -DOUTPUT=${version_source}
    -DVERSION=${PROJECT_VERSION} "-DFLAGS=${flags}" -P ${CMAKE_CURRENT_LIST_FILE})
add_custom_target(bitstill_describe COMMAND ${version_command} BYPRODUCTS "${version_source}"
                  COMMENT "" VERBATIM)
add_library(bitstill_version STATIC "${version_source}")
add_dependencies(bitstill_version bitstill_describe)
target_include_directories(bitstill_version PRIVATE "${PROJECT_SOURCE_DIR}/include")
