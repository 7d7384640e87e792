// The MPI backend's verbs. For src/comm and its tests only: no other module sees mpi.h.
#pragma once

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <cstdint>
#include <memory>

#include "bitstill/comm/communicator.hpp"

namespace bitstill {

/// Elements that one MPI call may carry; longer messages are split.
constexpr int64_t kMpiLongest = INT64_C(1) << 30;

/// Takes a communicator whose errors are returned; frees it at the end if `owned`. `longest` is for
/// tests, which cannot afford messages past the real limit.
std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm comm, bool owned, Traffic kind,
                                                    int64_t longest = kMpiLongest);

/// Throws Error(peer) with MPI's own words unless `code` is MPI_SUCCESS.
void check_mpi(int code, const char* call);

}  // namespace bitstill
