# bitstill_module(NAME [LIBRARIES target...])
#   library bitstill_NAME from src/NAME/*.cpp (comm: without nccl*.cpp, see cuda.cmake),
#   test_NAME from tests/NAME/*_test.cpp: label unit; a CTest entry for each test case, or with
#   LibTorch for the whole module,
#   ranktest_NAME from tests/NAME/*_ranktest.cpp: CTest entries at 1, 2 and 4 ranks,
#   a program for each tests/NAME/*_program.cpp, for the script tests.

include(GoogleTest)
include(layer_table)

# Links the modules whose headers `module` may include. The table is in link order, so all that
# exist are targets by now.
function(bitstill_depends target module)
  foreach(other IN LISTS may_include_${module})
    if(TARGET bitstill_${other})
      target_link_libraries(${target} PUBLIC bitstill_${other})
    endif()
  endforeach()
endfunction()

# Tests are compiled quickly, not to be quick.
function(bitstill_test_program target module)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O0>)
  if(module IN_LIST precompiled_modules)
    bitstill_precompiled(${target})
  endif()
endfunction()

function(bitstill_module name)
  cmake_parse_arguments(ARG "" "" "LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.cpp")
  list(FILTER sources EXCLUDE REGEX "/src/comm/nccl[^/]*$")
  if(NOT sources)
    return()
  endif()
  add_library(bitstill_${name} STATIC ${sources})
  set_target_properties(bitstill_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(bitstill_${name} PUBLIC cxx_std_20)
  target_include_directories(bitstill_${name}
                             PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>")
  target_link_libraries(bitstill_${name} PUBLIC ${ARG_LIBRARIES})
  bitstill_depends(bitstill_${name} ${name})
  bitstill_checked(bitstill_${name})
  if(name IN_LIST precompiled_modules)
    bitstill_precompiled(bitstill_${name})
  endif()
  if(NOT BUILD_TESTING)
    return()
  endif()

  file(GLOB tests CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${name}/*_test.cpp")
  if(tests)
    add_executable(test_${name} ${tests})
    target_link_libraries(test_${name} PRIVATE bitstill_${name} bitstill_warnings GTest::gtest
                                               GTest::gtest_main)
    bitstill_test_program(test_${name} ${name})
    if(name IN_LIST torch_free_modules)
      gtest_discover_tests(test_${name} TEST_PREFIX "${name}/" DISCOVERY_TIMEOUT 60
                           PROPERTIES LABELS unit TIMEOUT 300
                           ENVIRONMENT "BITSTILL_DATA=${PROJECT_SOURCE_DIR}/../shared/data")
    else()  # LibTorch takes 0.4 s to load: once a module, not once a test case
      add_test(NAME ${name} COMMAND test_${name} --gtest_brief=1)
      set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 600)
    endif()
  endif()

  file(GLOB ranktests CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${name}/*_ranktest.cpp")
  if(ranktests)
    add_executable(ranktest_${name} ${ranktests} "${PROJECT_SOURCE_DIR}/tests/rank_main.cpp")
    target_include_directories(ranktest_${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
    target_link_libraries(ranktest_${name} PRIVATE bitstill_${name} bitstill_comm
                                                   bitstill_warnings GTest::gtest)
    bitstill_test_program(ranktest_${name} ${name})
    bitstill_rank_test(${name} RANKS 1 2 4 COMMAND ranktest_${name})
  endif()

  file(GLOB programs CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${name}/*_program.cpp")
  foreach(program IN LISTS programs)
    get_filename_component(stem "${program}" NAME_WE)
    add_executable(${stem} ${program})
    target_link_libraries(${stem} PRIVATE bitstill_${name} bitstill_warnings)
  endforeach()
endfunction()
