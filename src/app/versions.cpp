#include <ATen/Version.h>
#include <torch/version.h>

#include "bitstill/base/version.hpp"
#include "bitstill/data/shard_file.hpp"
#include "command.hpp"

namespace bitstill {

Json versions(const World& world) {
  return {{"bitstill", build_version()},     {"commit", build_commit()},
          {"flags", build_flags()},          {"torch", TORCH_VERSION},
          {"cpu", at::get_cpu_capability()}, {"mpi", world.library()},
          {"hdf5", hdf5_version()}};
}

}  // namespace bitstill
