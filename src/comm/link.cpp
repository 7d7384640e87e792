#include "bitstill/comm/link.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "bitstill/base/median.hpp"
#include "bitstill/base/timer.hpp"

namespace bitstill {
namespace {

constexpr double kBudget_s = 0.2;
constexpr int kRepeats = 5;
constexpr int64_t kSmallest = 1 << 14, kLargest = 1 << 22, kGrowth = 4;  // bytes

constexpr double kLatencyShare = 0.1, kLastShare = 0.02;
constexpr int64_t kLeastChunk = 1024, kAlign = 64;  // bytes

/// What comes after a sum. Rank 0 decides and its vote rides in the sum, so all ranks do the same.
enum Vote : int { again, larger, enough };

struct Sample {
  int64_t bytes = 0;
  double seconds = 0;  // median: the first sums may pass in a burst that a link allows
};

Vote vote(int64_t bytes, const std::vector<double>& seconds, double passed_s) {
  if (seconds.empty()) return again;
  if (seconds.size() + 1 < kRepeats && passed_s < kBudget_s) return again;
  const bool fits = passed_s + kGrowth * kRepeats * median(seconds) < kBudget_s;
  return bytes < kLargest && fits ? larger : enough;
}

LinkSpeed line_through(const Sample& small, const Sample& large) {
  LinkSpeed speed;
  const double more_s = large.seconds - small.seconds;
  speed.bytes_per_s = more_s > 0 ? static_cast<double>(large.bytes - small.bytes) / more_s
                                 : static_cast<double>(large.bytes) / large.seconds;
  speed.latency_s =
      std::max(0.0, small.seconds - static_cast<double>(small.bytes) / speed.bytes_per_s);
  return speed;
}

}  // namespace

double steady_seconds() {
  static const Timer timer;
  return timer.seconds();
}

LinkSpeed measure_link(Communicator& comm, const std::function<double()>& now_s) {
  std::vector<float> data(kLargest / sizeof(float));
  std::vector<Sample> samples;
  const double start_s = now_s();
  int next = larger;
  for (int64_t bytes = kSmallest; next == larger; bytes *= kGrowth) {
    std::vector<double> seconds;
    do {
      const int mine = comm.rank() == 0 ? vote(bytes, seconds, now_s() - start_s) : 0;
      data[0] = static_cast<float>(mine);
      const double begin_s = now_s();
      comm.all_reduce(data.data(), bytes / 4, ElementType::f32);
      seconds.push_back(now_s() - begin_s);
      next = static_cast<int>(data[0]);
    } while (next == again);
    samples.push_back({bytes, median(seconds)});
  }
  const LinkSpeed mine = samples.size() > 1
                             ? line_through(samples.front(), samples.back())
                             : LinkSpeed{samples[0].seconds, kSmallest / samples[0].seconds};
  double speed[2] = {mine.latency_s, mine.bytes_per_s};
  comm.broadcast(speed, 2, ElementType::f64, 0);
  return {speed[0], speed[1]};
}

int64_t chunk_bytes_for(const LinkSpeed& speed, int64_t bytes) {
  const auto whole = static_cast<double>(std::max(bytes, kLeastChunk));
  // Beyond all that there is, latency asks for nothing more.
  const double least = std::min(speed.latency_s * speed.bytes_per_s / kLatencyShare, whole);
  const auto up = static_cast<int64_t>(std::ceil(least / kAlign)) * kAlign;
  const auto down = static_cast<int64_t>(kLastShare * whole / kAlign) * kAlign;
  return std::max({up, down, kLeastChunk});
}

}  // namespace bitstill
