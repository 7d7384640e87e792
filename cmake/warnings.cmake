# bitstill_checked(TARGET): the target's own files are compiled with warnings, as errors where
# BITSTILL_WERROR says so; third-party headers are included as system headers. With BITSTILL_TIDY
# clang-tidy reads the target's sources too.

set(BITSTILL_WERROR OFF
    CACHE STRING "Warnings are errors: ON, OFF, TESTED (with the compilers of .ci/run; the presets)")
set(werror ${BITSTILL_WERROR})
if(werror STREQUAL "TESTED")
  set(werror OFF)
  if("${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}" MATCHES "^(GNU 12|Clang 14)\\.")
    set(werror ON)
  endif()
endif()

add_library(bitstill_warnings INTERFACE)
target_compile_options(bitstill_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow
                                                   $<$<BOOL:${werror}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False alarms of GCC 12 in the standard library's own headers: <string>; with sanitizers <regex>.
  target_compile_options(bitstill_warnings INTERFACE -Wno-restrict)
  if(CMAKE_CXX_FLAGS_RELWITHDEBINFO MATCHES "-fsanitize")
    target_compile_options(bitstill_warnings INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()

function(bitstill_checked target)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:bitstill_warnings>)
  if(BITSTILL_TIDY)
    find_program(CLANG_TIDY NAMES clang-tidy-14 clang-tidy REQUIRED)
    # GCC's options are not all known to it.
    set_target_properties(
      ${target} PROPERTIES CXX_CLANG_TIDY
                           "${CLANG_TIDY};--quiet;--extra-arg=-Wno-unknown-warning-option")
  endif()
endfunction()
