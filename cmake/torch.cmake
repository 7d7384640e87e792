# Finds LibTorch: the PyPI wheel that launch/setup.sh unpacks, or an installed torch package.
set(torch_wheel "${PROJECT_SOURCE_DIR}/build/deps/python/torch")
set(torch_default "${torch_wheel}")
if(DEFINED ENV{BITSTILL_TORCH})
  set(torch_default "$ENV{BITSTILL_TORCH}")
endif()
set(BITSTILL_TORCH "${torch_default}"
    CACHE PATH "Folder of the torch package (with include/ and lib/)")
if(NOT EXISTS "${BITSTILL_TORCH}/include/ATen/core/Tensor.h")
  message(FATAL_ERROR "LibTorch is not in ${BITSTILL_TORCH}. Run launch/setup.sh first, or set "
                      "-DBITSTILL_TORCH=<site-packages>/torch of a torch 2.11.0 installation.")
endif()
# A compiler of a tool chain with a static C++ run-time alone would put a second one into the program.
execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -print-file-name=libstdc++.so
                OUTPUT_VARIABLE shared_libstdcxx OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT EXISTS "${shared_libstdcxx}")
  message(FATAL_ERROR "${CMAKE_CXX_COMPILER} has no shared libstdc++ (-print-file-name=libstdc++.so), "
                      "which LibTorch uses: two C++ run-times in one process crash. Choose another "
                      "compiler in a new build folder, such as CXX=/usr/bin/g++")
endif()
get_filename_component(torch_site "${BITSTILL_TORCH}" DIRECTORY)
include(torch_target)
