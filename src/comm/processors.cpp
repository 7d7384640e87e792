#include "bitstill/comm/processors.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kMostWords = std::size_t{1} << 14;  // 1,048,576 processors

}  // namespace

CpuSet allowed_cpus() {
  // The system refuses a set that is smaller than its own.
  for (CpuSet set(CPU_SETSIZE / 64); set.size() <= kMostWords; set.assign(set.size() * 2, 0)) {
    auto* const bits = reinterpret_cast<cpu_set_t*>(set.data());
    if (sched_getaffinity(0, set.size() * sizeof(uint64_t), bits) == 0) return set;
    if (errno != EINVAL) break;
  }
  return {};
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::vector<RankCpus> gather_cpus(Communicator& comm, const RankCpus& mine) {
  auto words = static_cast<int64_t>(mine.cpus.size());
  comm.all_reduce(&words, 1, ElementType::i64, Reduction::max);
  const auto row = static_cast<std::size_t>(words) + 1;
  std::vector<int64_t> own(row), all(row * static_cast<std::size_t>(comm.world()));
  own[0] = mine.host;
  std::copy(mine.cpus.begin(), mine.cpus.end(), own.begin() + 1);
  comm.all_gather(own.data(), all.data(), words + 1, ElementType::i64);
  std::vector<RankCpus> ranks;
  for (auto at = all.begin(); at != all.end(); at += words + 1) {
    ranks.push_back({*at, CpuSet(at + 1, at + words + 1)});
  }
  return ranks;
}

std::vector<int> share_cpus(const std::vector<RankCpus>& ranks) {
  const auto each_cpu = [](const RankCpus& rank, const auto& take) {
    for (std::size_t cpu = 0; cpu < rank.cpus.size() * 64; ++cpu) {
      if ((rank.cpus[cpu / 64] >> (cpu % 64) & 1) != 0) take(std::pair(rank.host, cpu));
    }
  };
  std::map<std::pair<int64_t, std::size_t>, int> sharers;  // of each processor of each host
  for (const RankCpus& rank : ranks) {
    each_cpu(rank, [&](const auto& cpu) { ++sharers[cpu]; });
  }
  std::vector<int> threads;
  for (const RankCpus& rank : ranks) {
    double parts = 1e-9;  // three thirds are one
    each_cpu(rank, [&](const auto& cpu) { parts += 1.0 / sharers[cpu]; });
    threads.push_back(std::max(1, static_cast<int>(parts)));
  }
  return threads;
}

bool takes_gpu(Communicator& comm, DeviceWish device, bool has_gpu) {
  int64_t have = has_gpu ? 1 : 0;
  comm.all_reduce(&have, 1, ElementType::i64);
  if (device != DeviceWish::automatic) return device == DeviceWish::cuda;
  if (have > 0 && have < comm.world() && comm.rank() == 0) {
    warn(concat("run.device = auto: ", have, " of ", comm.world(),
                " ranks see a GPU, so all compute on the CPU; start all ranks where they see one, "
                "or give run.device = cpu"));
  }
  return have == comm.world();
}

}  // namespace bitstill
