// Under mpirun, at 1, 2 and 4 ranks: gradients in 4 bits over real MPI.
#include "coded_sums.hpp"
#include "rank_main.hpp"

namespace bitstill {
namespace {

TEST(CodedSum, IsNearTheSumAndEqualOnAllRanks) {
  for (const int64_t count : {0, 1, 31, 33, 1000, 70001}) {
    check_coded_sum(rank_world().control(), count, 3);
  }
}

}  // namespace
}  // namespace bitstill
