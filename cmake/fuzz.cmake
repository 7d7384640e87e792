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
  # The settings without those whose headers need LibTorch, for which there is no library.
  set(settings src/config/recipe.cpp src/config/setting_table.cpp src/config/study.cpp
               src/quant/options.cpp src/teacher/options.cpp src/train/options.cpp)
  list(TRANSFORM settings PREPEND "${PROJECT_SOURCE_DIR}/")
  target_sources(fuzz_recipe PRIVATE ${settings})
  target_link_libraries(fuzz_recipe PRIVATE bitstill_comm Boost::program_options)
endfunction()
