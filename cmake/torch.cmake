# Imports LibTorch from the PyPI wheel that launch/setup.sh unpacks, without the wheel's own
# TorchConfig.cmake: that one wants a CUDA toolkit and runs nvcc even for a CPU build.
#
#   bitstill_torch  torch_cpu and c10; with BITSTILL_CUDA also torch_cuda and c10_cuda

set(torch_default "${PROJECT_SOURCE_DIR}/build/deps/python/torch")
if(DEFINED ENV{BITSTILL_TORCH})
  set(torch_default "$ENV{BITSTILL_TORCH}")
endif()
set(BITSTILL_TORCH "${torch_default}"
    CACHE PATH "Folder of the torch package (with include/ and lib/)")
if(NOT EXISTS "${BITSTILL_TORCH}/include/ATen/core/Tensor.h")
  message(FATAL_ERROR "LibTorch is not in ${BITSTILL_TORCH}. Run launch/setup.sh first, or set "
                      "-DBITSTILL_TORCH=<site-packages>/torch of a torch 2.11.0 installation.")
endif()

set(torch_lib "${BITSTILL_TORCH}/lib")
get_filename_component(torch_site "${BITSTILL_TORCH}" DIRECTORY)

function(bitstill_import_shared name file)
  add_library(${name} SHARED IMPORTED GLOBAL)
  set_target_properties(
    ${name} PROPERTIES IMPORTED_LOCATION "${file}" IMPORTED_NO_SONAME OFF
                       INTERFACE_INCLUDE_DIRECTORIES
                       "${BITSTILL_TORCH}/include;${BITSTILL_TORCH}/include/torch/csrc/api/include")
endfunction()

bitstill_import_shared(torch_c10 "${torch_lib}/libc10.so")
bitstill_import_shared(torch_cpu "${torch_lib}/libtorch_cpu.so")

add_library(bitstill_torch INTERFACE)
target_link_libraries(bitstill_torch INTERFACE torch_cpu torch_c10)
# The wheel's libraries find their neighbours by rpath; ours find the wheel's, and the CUDA
# run-time wheels beside it that libtorch_cpu.so asks for, the same way.
target_link_options(bitstill_torch INTERFACE "-Wl,-rpath,${torch_lib}"
                    "-Wl,-rpath-link,${torch_lib}"
                    "-Wl,-rpath-link,${torch_site}/nvidia/cu13/lib"
                    "-Wl,--allow-shlib-undefined")

if(BITSTILL_CUDA)
  bitstill_import_shared(torch_c10_cuda "${torch_lib}/libc10_cuda.so")
  bitstill_import_shared(torch_cuda "${torch_lib}/libtorch_cuda.so")
  # No symbol of ours names libtorch_cuda, which registers its kernels when it is loaded.
  target_link_libraries(bitstill_torch INTERFACE -Wl,--push-state,--no-as-needed torch_cuda
                                                 torch_c10_cuda -Wl,--pop-state)
endif()
