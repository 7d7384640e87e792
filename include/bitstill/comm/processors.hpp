// What ranks have in common on their hosts, processors and GPUs, and what each takes of it: decided
// from what all ranks see, so that all decide alike.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/words.hpp"
#include "bitstill/comm/communicator.hpp"

namespace bitstill {

/// Processor p is bit p % 64 of word p / 64; words that are not there are zeros.
using CpuSet = std::vector<uint64_t>;

/// The processors that this process may run on, however many the system has; none where it does not
/// say.
CpuSet allowed_cpus();

/// "AMD EPYC 9654 96-Core Processor", as the system names it; "unknown" where it does not.
std::string cpu_model();

/// What a rank may use; ranks of one host have the same `host`.
struct RankCpus {
  int64_t host = 0;
  CpuSet cpus;
};

/// Of every rank, in order. Collective: every rank of comm calls this, in the same order.
std::vector<RankCpus> gather_cpus(Communicator& comm, const RankCpus& mine);

/// Threads for each rank: a processor is divided evenly among the ranks of its host that may use
/// it, and a rank takes as many threads as its parts make whole processors, at least 1.
std::vector<int> share_cpus(const std::vector<RankCpus>& ranks);

/// run.device
enum class DeviceWish { cpu, cuda, automatic };
template <>
struct WordsOf<DeviceWish> {
  using enum DeviceWish;
  static constexpr Word<DeviceWish> kTable[] = {{cpu, "cpu"}, {cuda, "cuda"}, {automatic, "auto"}};
};

/// Whether the ranks compute on GPUs under run.device: cuda, or auto if every rank has one; rank 0
/// warns of auto where only some have. Collective: every rank of comm calls this, in the same
/// order.
bool takes_gpu(Communicator& comm, DeviceWish device, bool has_gpu);

}  // namespace bitstill
