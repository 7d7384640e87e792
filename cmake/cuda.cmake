# CUDA and NCCL. They compile wherever nvcc and nccl.h are found, on machines without a GPU too:
# from a system toolkit, or from the wheels that launch/setup.sh unpacks into build/deps/cuda.
# They are part of the program only with BITSTILL_CUDA.
#
#   bitstill_comm_nccl   objects of src/comm/nccl*.cpp
#   bitstill_quant_cuda  objects of src/quant/*.cu
#
# test_quant_emulated runs the same kernels on the CPU, so needs none of these.

set(BITSTILL_CUDA_ARCHS 80 90 CACHE STRING "GPU generations that kernels are compiled for")
set(cuda_wheels "${PROJECT_SOURCE_DIR}/build/deps/cuda/nvidia")
find_program(BITSTILL_NVCC nvcc HINTS "${cuda_wheels}/cu13/bin" PATHS ENV CUDA_HOME
             /usr/local/cuda PATH_SUFFIXES bin)
if(BITSTILL_NVCC)
  file(REAL_PATH "${BITSTILL_NVCC}" nvcc)
  get_filename_component(cuda_root "${nvcc}" DIRECTORY)
  get_filename_component(cuda_root "${cuda_root}" DIRECTORY)
endif()
find_path(BITSTILL_CUDA_INCLUDE cuda_runtime_api.h HINTS "${cuda_root}/include")
find_path(BITSTILL_NCCL_INCLUDE nccl.h HINTS "${cuda_wheels}/nccl/include" "${cuda_root}/include"
          PATHS ENV NCCL_HOME PATH_SUFFIXES include)

set(cuda_found FALSE)
if(BITSTILL_NVCC AND BITSTILL_CUDA_INCLUDE AND BITSTILL_NCCL_INCLUDE)
  set(cuda_found TRUE)
  message(STATUS "CUDA: ${BITSTILL_NVCC}, NCCL: ${BITSTILL_NCCL_INCLUDE}")
elseif(BITSTILL_CUDA)
  message(FATAL_ERROR "BITSTILL_CUDA wants nvcc and nccl.h: run launch/setup.sh --gpu")
else()
  message(STATUS "CUDA: no nvcc with nccl.h; the NCCL backend and the kernels are not compiled")
endif()

# nvcc by a rule of our own: CMake's CUDA language would want a whole toolkit.
function(bitstill_nvcc_objects target)
  set(codes "")
  foreach(arch IN LISTS BITSTILL_CUDA_ARCHS)
    list(APPEND codes -gencode "arch=compute_${arch},code=sm_${arch}")
  endforeach()
  list(GET BITSTILL_CUDA_ARCHS -1 newest)
  list(APPEND codes -gencode "arch=compute_${newest},code=compute_${newest}")
  set(strict -Xcompiler=-fPIC,-Wall,-Wextra)
  if(werror)
    set(strict -Werror all-warnings -Xcompiler=-fPIC,-Wall,-Wextra,-Werror)
  endif()
  set(objects "")
  foreach(source IN LISTS ARGN)
    get_filename_component(name "${source}" NAME)
    set(object "${CMAKE_BINARY_DIR}/cuda/${name}.o")
    add_custom_command(
      OUTPUT "${object}"
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_BINARY_DIR}/cuda"
      # --fmad=false: see -ffp-contract in CMakeLists.txt.
      COMMAND "${BITSTILL_NVCC}" -std=c++20 -O3 --fmad=false ${codes} ${strict} "-I${PROJECT_SOURCE_DIR}/include" -MD -MF
              "${object}.d" -c "${source}" -o "${object}"
      DEPENDS "${source}"
      DEPFILE "${object}.d"
      COMMENT "nvcc ${name}" VERBATIM)
    list(APPEND objects "${object}")
  endforeach()
  add_library(${target} OBJECT ${objects})
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
endfunction()

# Puts TARGET's objects into bitstill_MODULE and tells that module's sources: BITSTILL_CUDA=1.
function(bitstill_cuda_part target module)
  if(BITSTILL_CUDA)
    target_link_libraries(bitstill_${module} PRIVATE ${target} bitstill_cuda_libraries)
    # Linking an object library leaves out the objects that it did not compile itself: nvcc's.
    get_target_property(objects ${target} SOURCES)
    list(FILTER objects INCLUDE REGEX "\\.o$")
    target_sources(bitstill_${module} PRIVATE ${objects})
    add_dependencies(bitstill_${module} ${target})
    target_compile_definitions(bitstill_${module} PRIVATE BITSTILL_CUDA=1)
  endif()
endfunction()

function(bitstill_cuda_libraries)
  add_library(bitstill_cuda_libraries INTERFACE)
  set(places "${torch_site}/nvidia/cu13/lib" "${torch_site}/nvidia/nccl/lib" "${cuda_root}/lib64"
             "${cuda_root}/lib" "${cuda_wheels}/nccl/lib")
  find_library(BITSTILL_CUDART NAMES libcudart.so.13 cudart HINTS ${places} REQUIRED)
  find_library(BITSTILL_NCCL NAMES libnccl.so.2 nccl HINTS ${places} REQUIRED)
  target_link_libraries(bitstill_cuda_libraries INTERFACE "${BITSTILL_NCCL}" "${BITSTILL_CUDART}")
endfunction()

# Called once all modules are there.
function(bitstill_cuda_sources)
  if(NOT cuda_found)
    return()
  endif()
  if(BITSTILL_CUDA)
    bitstill_cuda_libraries()
  endif()
  file(GLOB nccl_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/comm/nccl*.cpp")
  if(nccl_sources)
    add_library(bitstill_comm_nccl OBJECT ${nccl_sources})
    target_include_directories(bitstill_comm_nccl PRIVATE "${PROJECT_SOURCE_DIR}/include")
    target_include_directories(bitstill_comm_nccl SYSTEM PRIVATE "${BITSTILL_NCCL_INCLUDE}"
                                                                 "${BITSTILL_CUDA_INCLUDE}")
    target_link_libraries(bitstill_comm_nccl PRIVATE MPI::MPI_CXX)
    bitstill_checked(bitstill_comm_nccl)
    bitstill_cuda_part(bitstill_comm_nccl comm)
  endif()
  file(GLOB kernels CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/quant/*.cu")
  if(kernels AND NOT BITSTILL_TORCH_FREE)
    bitstill_nvcc_objects(bitstill_quant_cuda ${kernels})
    bitstill_cuda_part(bitstill_quant_cuda quant)
  endif()
endfunction()

# The sources of the kernels as C++ (tests/quant/emulated/cuda_runtime.h), and their test. Its symbols
# come before those of bitstill_quant, which then gives none of its own.
function(bitstill_emulated_kernels)
  file(GLOB kernels CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/quant/*.cu")
  set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX)
  add_executable(test_quant_emulated ${kernels} "${PROJECT_SOURCE_DIR}/tests/quant/cuda_test.cpp"
                                     "${PROJECT_SOURCE_DIR}/tests/quant/device_quantizer_test.cpp")
  target_include_directories(test_quant_emulated
                             PRIVATE "${PROJECT_SOURCE_DIR}/tests/quant/emulated")
  target_compile_definitions(test_quant_emulated PRIVATE BITSTILL_EMULATED_GPU=1)
  target_link_libraries(test_quant_emulated PRIVATE bitstill_quant bitstill_warnings GTest::gtest
                                                    GTest::gtest_main)
  add_test(NAME quant_emulated COMMAND test_quant_emulated --gtest_brief=1)
  set_tests_properties(quant_emulated PROPERTIES LABELS unit TIMEOUT 300)
endfunction()
