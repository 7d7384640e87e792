# cmake --install: two components.
#   program      bitstill, what it needs of LibTorch, manual page, completion, launch scripts, recipes
#   development  the modules as bitstill::base ... bitstill::config for find_package(bitstill), headers
# LibTorch is installed along where it is the checkout's own (launch/setup.sh), which may be deleted;
# one that was found elsewhere (BITSTILL_TORCH) stays there.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/bitstill")
set(installed_site "${CMAKE_INSTALL_LIBDIR}/bitstill")  # as site-packages: torch/ and nvidia/

set(install_torch OFF)
if(NOT BITSTILL_TORCH_FREE AND BITSTILL_TORCH STREQUAL torch_wheel)
  set(install_torch ON)
endif()
option(BITSTILL_INSTALL_TORCH "Install LibTorch along (0.5 GB; with CUDA 3 GB)" ${install_torch})

function(bitstill_install_torch)
  set(libraries "${BITSTILL_TORCH}/lib/libtorch_cpu.so" "${BITSTILL_TORCH}/lib/libc10.so")
  file(GLOB openmp "${BITSTILL_TORCH}/lib/libgomp*.so*")
  set(cuda "libcudart\\.so|libcupti\\.so")  # libtorch_cpu.so asks for these
  if(BITSTILL_CUDA)
    file(GLOB libraries "${BITSTILL_TORCH}/lib/*.so")
    list(FILTER libraries EXCLUDE REGEX "python")
    set(cuda "\\.so")
  endif()
  install(FILES ${libraries} ${openmp} DESTINATION "${installed_site}/torch/lib"
          COMPONENT program)
  if(EXISTS "${torch_site}/nvidia")
    install(DIRECTORY "${torch_site}/nvidia" DESTINATION "${installed_site}" COMPONENT program
            FILES_MATCHING REGEX "/lib/[^/]*(${cuda})[.0-9]*$" PATTERN include EXCLUDE)
  endif()
  file(GLOB licences "${torch_site}/torch-*.dist-info/licenses")
  install(DIRECTORY ${licences} DESTINATION "${installed_site}/torch" COMPONENT program)
  install(DIRECTORY "${BITSTILL_TORCH}/include" DESTINATION "${installed_site}/torch"
          COMPONENT development)
endfunction()

# Libraries that are installed along are found from the program's own place; those that were found
# outside the checkout (modules, Spack) where they are.
function(bitstill_install_program)
  file(RELATIVE_PATH site "${CMAKE_INSTALL_FULL_BINDIR}"
       "${CMAKE_INSTALL_PREFIX}/${installed_site}")
  set(rpath "${BITSTILL_TORCH}/lib")
  if(BITSTILL_INSTALL_TORCH)
    set(rpath "$ORIGIN/${site}/torch/lib")
    if(BITSTILL_CUDA)
      list(APPEND rpath "$ORIGIN/${site}/nvidia/cu13/lib" "$ORIGIN/${site}/nvidia/nccl/lib")
    endif()
  endif()
  set_target_properties(bitstill PROPERTIES INSTALL_RPATH "${rpath}"
                                            INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS bitstill COMPONENT program)
endfunction()

function(bitstill_install_launch)
  set(share "${CMAKE_INSTALL_DATADIR}/bitstill")
  install(PROGRAMS launch/run.sh launch/watch.py launch/export_pytorch.py launch/slurm.sbatch
          DESTINATION "${share}/launch" COMPONENT program)
  install(FILES launch/export_opennmt.py launch/hosts.py launch/leftovers.py launch/settings.py
                launch/start.py launch/words.py
          DESTINATION "${share}/launch" COMPONENT program)
  install(DIRECTORY launch/recipes launch/studies DESTINATION "${share}/launch" COMPONENT program)
  install(DIRECTORY datasets DESTINATION "${share}" COMPONENT program USE_SOURCE_PERMISSIONS)
  file(RELATIVE_PATH run "${CMAKE_INSTALL_FULL_BINDIR}"
       "${CMAKE_INSTALL_FULL_DATADIR}/bitstill/launch/run.sh")
  set(link "${CMAKE_BINARY_DIR}/generated/bitstill-run")
  file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/generated")
  file(CREATE_LINK "${run}" "${link}" SYMBOLIC)
  install(FILES "${link}" TYPE BIN COMPONENT program)
  install(FILES README.md LICENSE TYPE DOC COMPONENT program)
endfunction()

# The program writes both from its setting tables.
function(bitstill_install_manual)
  set(generated "${CMAKE_BINARY_DIR}/generated")
  install(
    CODE "execute_process(COMMAND \"$<TARGET_FILE:bitstill>\" --man
                          OUTPUT_FILE \"${generated}/bitstill.1\" COMMAND_ERROR_IS_FATAL ANY)
          execute_process(COMMAND \"$<TARGET_FILE:bitstill>\" --completion bash
                          OUTPUT_FILE \"${generated}/bitstill.bash\" COMMAND_ERROR_IS_FATAL ANY)"
    COMPONENT program)
  install(FILES "${generated}/bitstill.1" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1"
          COMPONENT program)
  install(FILES "${generated}/bitstill.bash" RENAME bitstill COMPONENT program
          DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
endfunction()

function(bitstill_install_libraries)
  set(targets bitstill_version)
  foreach(module IN LISTS layer_modules)
    if(TARGET bitstill_${module})
      list(APPEND targets bitstill_${module})
    endif()
  endforeach()
  set_target_properties(bitstill_version PROPERTIES EXPORT_NAME version)
  install(TARGETS ${targets} EXPORT bitstill ARCHIVE COMPONENT development
          INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(EXPORT bitstill NAMESPACE bitstill:: FILE bitstillTargets.cmake
          DESTINATION "${package_dir}" COMPONENT development)
  install(DIRECTORY include/bitstill TYPE INCLUDE COMPONENT development)
  set(installed_torch "${BITSTILL_TORCH}")
  if(BITSTILL_INSTALL_TORCH)
    set(installed_torch "${installed_site}/torch")
  endif()
  configure_package_config_file(
    cmake/bitstillConfig.cmake.in "${CMAKE_BINARY_DIR}/generated/bitstillConfig.cmake"
    INSTALL_DESTINATION "${package_dir}" PATH_VARS installed_torch)
  write_basic_package_version_file("${CMAKE_BINARY_DIR}/generated/bitstillConfigVersion.cmake"
                                   COMPATIBILITY SameMinorVersion)
  install(FILES "${CMAKE_BINARY_DIR}/generated/bitstillConfig.cmake"
                "${CMAKE_BINARY_DIR}/generated/bitstillConfigVersion.cmake"
                cmake/torch_target.cmake
          DESTINATION "${package_dir}" COMPONENT development)
endfunction()

if(BITSTILL_INSTALL_TORCH)
  bitstill_install_torch()
endif()
if(TARGET bitstill)
  bitstill_install_program()
  bitstill_install_launch()
  bitstill_install_manual()
endif()
if(NOT BITSTILL_CUDA)  # whose objects would ask the consumer for nvcc's libraries
  bitstill_install_libraries()
endif()
