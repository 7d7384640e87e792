# cmake -DROOT=TREE -P cmake/layers.cmake: checks every include of TREE's include/bitstill and src
# against layer_table.cmake, names file and line of each forbidden one, and fails if there is any.

cmake_minimum_required(VERSION 3.22)
include("${CMAKE_CURRENT_LIST_DIR}/layer_table.cmake")
execute_process(
  COMMAND grep -rnoE --include=*.hpp --include=*.cpp --include=*.cu --include=*.cuh
          "^[[:space:]]*#[[:space:]]*include[[:space:]]*([<\"][^>\"]*[>\"]|[A-Za-z_]+)"
          include/bitstill src
  WORKING_DIRECTORY "${ROOT}"
  OUTPUT_VARIABLE found
  RESULT_VARIABLE result)
if(result GREATER 1 OR found STREQUAL "")
  message(FATAL_ERROR "layers: no sources under '${ROOT}'")
endif()
string(STRIP "${found}" found)
string(REPLACE "\n" ";" found "${found}")
set(violations "")

function(forbid why)
  list(APPEND violations "${file}:${line}: ${header}: ${why}")
  set(violations "${violations}" PARENT_SCOPE)
endfunction()

# A project header: the table's row, or the module itself.
function(check_project)
  string(REGEX REPLACE "^bitstill/([^/]*)/.*" "\\1" target "${header}")
  if(NOT target STREQUAL module AND NOT target IN_LIST may_include_${module})
    forbid("${module} may not include ${target}")
  endif()
  set(violations "${violations}" PARENT_SCOPE)
endfunction()

# A header in <>: C++'s, the system's, or a library's that is at home in this file.
function(check_library)
  set(homes ${layer_homes})
  foreach(system "^[a-z_0-9]+$" ${layer_system_headers})
    if(header MATCHES "${system}")
      return()
    endif()
  endforeach()
  while(homes)
    list(POP_FRONT homes library headers home)
    if(header MATCHES "${headers}")
      if(NOT file MATCHES "${home}")
        forbid("${library} may not be included here")
        set(violations "${violations}" PARENT_SCOPE)
      endif()
      return()
    endif()
  endwhile()
  forbid("unknown library: give it a home in cmake/layer_table.cmake")
  set(violations "${violations}" PARENT_SCOPE)
endfunction()

foreach(entry IN LISTS found)
  string(REGEX MATCH "^([^:]*):([0-9]*):[ \t]*#[ \t]*include[ \t]*(.*)$" whole "${entry}")
  set(file "${CMAKE_MATCH_1}")
  set(line "${CMAKE_MATCH_2}")
  set(quoted "${CMAKE_MATCH_3}")
  string(REGEX REPLACE "[<>\"]" "" header "${quoted}")
  string(REGEX REPLACE "^(include/bitstill|src)/([^/]*)/.*" "\\2" module "${file}")
  get_filename_component(folder "${ROOT}/${file}" DIRECTORY)
  if(NOT module IN_LIST layer_modules)
    forbid("the file belongs to no module")
  elseif(header MATCHES "^bitstill/")
    check_project()
  elseif(header MATCHES "\\.\\./")
    forbid("leaves its folder; say bitstill/...")
  elseif(NOT quoted MATCHES "^\"" OR NOT EXISTS "${folder}/${header}")
    check_library()
  endif()
endforeach()

if(violations)
  list(LENGTH violations count)
  string(REPLACE ";" "\n" violations "${violations}")
  message(NOTICE "${violations}")
  message(FATAL_ERROR "layers: ${count} forbidden includes")
endif()
list(LENGTH found count)
message(STATUS "layers: ${count} includes, none forbidden")
