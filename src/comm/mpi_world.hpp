// The world under mpirun. For src/comm only.
#pragma once

#include <memory>
#include <string>

#include "bitstill/comm/world.hpp"
#include "mpi_communicator.hpp"

namespace bitstill {

/// "Open MPI 4.1.4"; also where MPI has not been started.
std::string mpi_library();

class MpiWorld final : public World {
 public:
  MpiWorld();
  ~MpiWorld() override;

  const Place& place() const override { return place_; }
  Communicator& control() override { return *control_; }
  bool threads_allowed() const override { return threads_allowed_; }
  std::string library() const override { return mpi_library(); }
  [[noreturn]] void fatal(ExitCode code, const std::string& message) override;

  /// fatal() without the rank before the message.
  [[noreturn]] void end_job(ExitCode code, const std::string& message);
  /// A duplicate of MPI_COMM_WORLD that the caller frees. Collective.
  MPI_Comm duplicate_world() const;

 private:
  Place place_;
  std::unique_ptr<Communicator> control_;
  bool threads_allowed_ = false;
  int exceptions_;  // in flight at construction
};

}  // namespace bitstill
