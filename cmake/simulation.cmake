# scale_sim: the modules base, comm and scale, and src/scale/sim, compiled by SimGrid's smpicxx, so that
# what runs on real machines is what is simulated. Only where smpicxx is found (launch/setup.sh --tests).

find_program(BITSTILL_SMPICXX smpicxx)
find_program(BITSTILL_SMPIRUN smpirun)

function(bitstill_simulation)
  if(NOT BITSTILL_SMPICXX OR NOT BITSTILL_SMPIRUN)
    message(STATUS "SimGrid: no smpicxx; scale_sim is not compiled")
    return()
  endif()
  message(STATUS "SimGrid: ${BITSTILL_SMPICXX}")
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/base/*.cpp"
       "${PROJECT_SOURCE_DIR}/src/comm/*.cpp" "${PROJECT_SOURCE_DIR}/src/scale/*.cpp"
       "${PROJECT_SOURCE_DIR}/src/scale/sim/*.cpp")
  list(FILTER sources EXCLUDE REGEX "/src/comm/nccl[^/]*$")
  set(objects "")
  foreach(source IN LISTS sources)
    file(RELATIVE_PATH name "${PROJECT_SOURCE_DIR}/src" "${source}")
    string(REPLACE "/" "_" name "${name}")
    set(object "${CMAKE_BINARY_DIR}/simulation/${name}.o")
    add_custom_command(
      OUTPUT "${object}"
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_BINARY_DIR}/simulation"
      COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} "${BITSTILL_SMPICXX}" -std=gnu++20 -O2
              "-I${PROJECT_SOURCE_DIR}/include" -MD -MF "${object}.d" -c "${source}" -o "${object}"
      DEPENDS "${source}"
      DEPFILE "${object}.d"
      COMMENT "smpicxx ${name}" VERBATIM)
    list(APPEND objects "${object}")
  endforeach()
  add_custom_command(
    OUTPUT "${CMAKE_BINARY_DIR}/scale_sim"
    COMMAND "${BITSTILL_SMPICXX}" ${objects} $<TARGET_FILE:bitstill_version> -o
            "${CMAKE_BINARY_DIR}/scale_sim" -lcrypto -lpthread
    DEPENDS ${objects} bitstill_version
    COMMENT "smpicxx scale_sim" VERBATIM)
  add_custom_target(simulation ALL DEPENDS "${CMAKE_BINARY_DIR}/scale_sim")
endfunction()
