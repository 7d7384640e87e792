# bitstill_module(NAME [DEPENDS module...] [LIBRARIES target...])
#   library bitstill_NAME from src/NAME/*.cpp, and test_NAME from tests/NAME/*_test.cpp.

function(bitstill_module name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.cpp")
  if(NOT sources)
    return()
  endif()
  add_library(bitstill_${name} STATIC ${sources})
  target_include_directories(bitstill_${name} PUBLIC "${PROJECT_SOURCE_DIR}/include")
  list(TRANSFORM ARG_DEPENDS PREPEND bitstill_)
  target_link_libraries(bitstill_${name} PUBLIC ${ARG_DEPENDS} ${ARG_LIBRARIES}
                                         PRIVATE bitstill_warnings)
  file(GLOB tests CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${name}/*_test.cpp")
  if(tests AND BUILD_TESTING)
    add_executable(test_${name} ${tests})
    target_link_libraries(test_${name} PRIVATE bitstill_${name} bitstill_warnings GTest::gtest
                                               GTest::gtest_main)
    gtest_discover_tests(test_${name} TEST_PREFIX "${name}/" DISCOVERY_TIMEOUT 60
                         PROPERTIES LABELS unit TIMEOUT 120)
  endif()
endfunction()
