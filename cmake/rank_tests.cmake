# bitstill_rank_test(NAME RANKS n... COMMAND target-or-program [argument...] [TIMEOUT seconds])
#   CTest entries NAME/ranks_n under mpirun, label ranks.
# bitstill_script_tests(FOLDER...)
#   CTest entries for tests/FOLDER/*.sh and for every tests/**/*_test.py, label FOLDER. Exit code 77
#   means skipped (failed, where the environment's BITSTILL_NO_SKIP=LABEL,... names the label, as for
#   rank tests). They take two of ctest's four jobs, those that mostly wait one. Environment: BITSTILL (the program), SOURCE, SHARED (data beside the checkout)
#   and WORK (a new folder, removed afterwards).

set(waiting_tests failure/comm_faults failure/dead_ranks failure/lose_hosts failure/signals launch/cluster
    launch/quickstart launch/run launch/setup)

find_program(BITSTILL_MPIRUN NAMES mpirun REQUIRED)
set(sharing_flags "")  # more ranks than cores; other launchers than Open MPI's do not need asking
execute_process(COMMAND "${BITSTILL_MPIRUN}" --version OUTPUT_VARIABLE launcher ERROR_QUIET)
if(launcher MATCHES "Open MPI")
  set(sharing_flags --oversubscribe --bind-to none)
endif()
# Root may run ranks in containers; one thread a rank, since ranks share the machine's cores, which they
# leave to others while they wait. Open MPI keeps memory until exit, which is no leak of ours; with ob1
# named it starts 0.2 s sooner, with psec 2 s where a Munge daemon was ended.
set(rank_environment OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_pml=ob1
                     OMPI_MCA_mpi_yield_when_idle=1 PMIX_MCA_psec=native OMP_NUM_THREADS=1 ASAN_OPTIONS=detect_leaks=0)

function(bitstill_rank_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "RANKS;COMMAND" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  list(POP_FRONT ARG_COMMAND program)
  if(TARGET ${program})
    set(program $<TARGET_FILE:${program}>)
  endif()
  foreach(ranks IN LISTS ARG_RANKS)
    add_test(NAME ${name}/ranks_${ranks}
             COMMAND ${BITSTILL_MPIRUN} ${sharing_flags} -n ${ranks} ${program} ${ARG_COMMAND})
    set_tests_properties(
      ${name}/ranks_${ranks} PROPERTIES LABELS ranks TIMEOUT ${ARG_TIMEOUT} PROCESSORS ${ranks}
                                        ENVIRONMENT "${rank_environment}")
  endforeach()
endfunction()

# bitstill_script_test(LABEL FILE [interpreter])
function(bitstill_script_test label file)
  file(RELATIVE_PATH name "${PROJECT_SOURCE_DIR}/tests" "${file}")
  string(REGEX REPLACE "\\.[a-z]*$" "" name "${name}")
  add_test(NAME ${name} COMMAND bash ${PROJECT_SOURCE_DIR}/tests/in_new_folder.sh ${ARGN} ${file})
  set(environment ${rank_environment} BITSTILL=${CMAKE_BINARY_DIR}/bitstill
                  SOURCE=${PROJECT_SOURCE_DIR} SHARED=${PROJECT_SOURCE_DIR}/../shared)
  list(REMOVE_ITEM environment OMP_NUM_THREADS=1)
  set(cores 2)
  if(name IN_LIST waiting_tests)
    set(cores 1)
  endif()
  set(seconds 600)
  if(name STREQUAL hosts/slurm)
    set(seconds 1800)  # jobs wait for a real queue; on busy cores a walltime is met more often
  endif()
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${seconds} PROCESSORS ${cores}
                                          SKIP_RETURN_CODE 77 ENVIRONMENT "${environment}")
endfunction()

function(bitstill_script_tests)
  foreach(folder IN LISTS ARGN)
    file(GLOB scripts CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${folder}/*.sh")
    foreach(script IN LISTS scripts)
      bitstill_script_test(${folder} ${script} bash)
    endforeach()
  endforeach()
  file(GLOB_RECURSE scripts CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/*_test.py")
  foreach(script IN LISTS scripts)
    get_filename_component(folder "${script}" DIRECTORY)
    get_filename_component(folder "${folder}" NAME)
    bitstill_script_test(${folder} ${script} python3)
  endforeach()
endfunction()
