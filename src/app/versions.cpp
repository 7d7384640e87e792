#include <ATen/Version.h>
#include <ATen/cpu/Utils.h>
#include <torch/version.h>

#include <cstdlib>

#include "bitstill/base/text.hpp"
#include "bitstill/base/version.hpp"
#include "bitstill/data/shard_file.hpp"
#include "command.hpp"

namespace bitstill {

std::string instruction_set() {
  const auto capabilities = at::cpu::get_cpu_capabilities();
  std::string text = at::get_cpu_capability();
  for (const char* name : {"fma3", "avx2", "avx512_f", "avx512_bf16", "avx512_vnni", "amx_bf16",
                           "amx_int8", "sve", "bf16"}) {
    const auto has = capabilities.find(name);
    if (has != capabilities.end() && has->second.isBool() && has->second.toBool()) {
      text += concat(" ", name);
    }
  }
  for (const char* name : {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"}) {
    if (const char* value = std::getenv(name)) text += concat(" ", name, "=", value);
  }
  return text;
}

Json versions(const World& world) {
  return {{"bitstill", build_version()},     {"commit", build_commit()},
          {"flags", build_flags()},          {"torch", TORCH_VERSION},
          {"cpu", at::get_cpu_capability()}, {"mpi", world.library()},
          {"hdf5", hdf5_version()}};
}

}  // namespace bitstill
