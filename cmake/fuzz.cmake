# A program for each tests/fuzz/fuzz_NAME.cpp: with BITSTILL_FUZZ (preset fuzz, clang) a libFuzzer
# program, else a plain one that CTest runs over the stored corpus tests/fuzz/corpus/NAME.

function(bitstill_fuzz_targets)
  file(GLOB targets CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_*.cpp")
  foreach(source IN LISTS targets)
    get_filename_component(name "${source}" NAME_WE)
    string(REPLACE "fuzz_" "" corpus "${name}")
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE bitstill_codec bitstill_data bitstill_warnings)
    if(BITSTILL_FUZZ)
      target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
      target_sources(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/fuzz/replay.cpp")
      add_test(NAME fuzz/${corpus}
               COMMAND ${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${corpus})
      set_tests_properties(fuzz/${corpus} PROPERTIES LABELS unit TIMEOUT 120)
    endif()
  endforeach()
endfunction()
