# Imports LibTorch from the torch package BITSTILL_TORCH without that package's own TorchConfig.cmake,
# which wants a CUDA toolkit and runs nvcc even for a CPU build. Installed too, for bitstillConfig.cmake.
#
#   bitstill::torch  torch_cpu and c10; with BITSTILL_CUDA also torch_cuda and c10_cuda

function(bitstill_import_shared name file)
  add_library(bitstill::${name} SHARED IMPORTED GLOBAL)
  set_target_properties(
    bitstill::${name}
    PROPERTIES IMPORTED_LOCATION "${BITSTILL_TORCH}/lib/${file}" IMPORTED_NO_SONAME OFF
               INTERFACE_INCLUDE_DIRECTORIES
               "${BITSTILL_TORCH}/include;${BITSTILL_TORCH}/include/torch/csrc/api/include")
endfunction()

bitstill_import_shared(torch_c10 libc10.so)
bitstill_import_shared(torch_cpu libtorch_cpu.so)

add_library(bitstill::torch INTERFACE IMPORTED GLOBAL)
target_link_libraries(bitstill::torch INTERFACE bitstill::torch_cpu bitstill::torch_c10)
# The wheel's libraries find each other by rpath, and so the CUDA run-time wheels beside them that
# libtorch_cpu.so asks for. The linker has to be told.
target_link_options(bitstill::torch INTERFACE "-Wl,-rpath-link,${BITSTILL_TORCH}/lib"
                    "-Wl,-rpath-link,${BITSTILL_TORCH}/../nvidia/cu13/lib"
                    "-Wl,--allow-shlib-undefined")

if(BITSTILL_CUDA)
  bitstill_import_shared(torch_c10_cuda libc10_cuda.so)
  bitstill_import_shared(torch_cuda libtorch_cuda.so)
  # No symbol of ours names libtorch_cuda, which registers its kernels when it is loaded.
  target_link_libraries(
    bitstill::torch INTERFACE -Wl,--push-state,--no-as-needed bitstill::torch_cuda
                              bitstill::torch_c10_cuda -Wl,--pop-state)
endif()
