# bitstill_precompiled(TARGET): LibTorch's headers, parsed once and not by each source of the target,
# which takes a third of the time then. Sources still include what they use. Tests share a second one,
# with GoogleTest (and their own optimization, see modules.cmake).

# Modules whose sources are mostly of tensors; where strings are joined GCC 12 raises false alarms in
# <string>, which it does not know for a system header any more.
set(precompiled_modules model quant store teacher infer train)
option(BITSTILL_PRECOMPILED "Precompile LibTorch's headers (0.8 GB in the build folder)" ON)

set(precompiled_headers
    <algorithm> <array> <filesystem> <fstream> <functional> <map> <memory> <mutex> <optional> <span>
    <sstream> <string> <thread> <vector> <nlohmann/json.hpp> <ATen/Parallel.h>
    <ATen/TensorOperators.h> <ATen/core/Tensor.h> <ATen/core/grad_mode.h>)

function(bitstill_precompiled target)
  # clang-tidy does not read those of GCC.
  if(NOT BITSTILL_PRECOMPILED OR BITSTILL_TIDY)
    return()
  endif()
  set(kind library)
  set(headers ${precompiled_headers})
  if(target MATCHES "^(rank)?test_")
    set(kind test)
    list(APPEND headers <gtest/gtest.h>)
  endif()
  get_property(owner GLOBAL PROPERTY bitstill_precompiled_${kind})
  if(owner)
    target_precompile_headers(${target} REUSE_FROM ${owner})
  else()
    target_precompile_headers(${target} PRIVATE ${headers})
    set_property(GLOBAL PROPERTY bitstill_precompiled_${kind} ${target})
  endif()
endfunction()
