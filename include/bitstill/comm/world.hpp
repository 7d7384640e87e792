// The job's ranks: started by mpirun, or one process alone.
#pragma once

#include <memory>

#include "bitstill/base/error.hpp"
#include "bitstill/base/place.hpp"
#include "bitstill/base/words.hpp"
#include "bitstill/comm/channel.hpp"
#include "bitstill/comm/communicator.hpp"

namespace bitstill {

/// Owns MPI for the life of the process. Under mpirun (its environment is there) MPI is initialised
/// with MPI_THREAD_MULTIPLE; otherwise the world is this process and MPI is never started.
class World {
 public:
  /// Sets OMPI_MCA_mpi_yield_when_idle=1 unless it is set, then initialises.
  /// AgreedError(environment) when a launcher started several processes of which each would be a
  /// world of its own.
  static std::unique_ptr<World> open();
  virtual ~World() = default;  // finalizes MPI, unless an exception is in flight

  virtual const Place& place() const = 0;
  /// Control traffic of the main thread.
  virtual Communicator& control() = 0;
  /// Whether lanes may call MPI beside the main thread.
  virtual bool threads_allowed() const = 0;
  /// "Open MPI 4.1.4", or "none (one process)".
  virtual std::string library() const = 0;

  /// One "error:" line with rank and host from this rank, then the end of the whole job with the
  /// code: MPI_Abort, and _exit 2 s later. Never MPI_Finalize. Thread-safe; the first caller wins.
  [[noreturn]] virtual void fatal(ExitCode code, const std::string& message) = 0;
};

/// exchange.overlap: whether gradients and pieces of the teacher travel while passes run.
enum class Overlap { automatic, on, off };
template <>
struct WordsOf<Overlap> {
  using enum Overlap;
  static constexpr Word<Overlap> kTable[] = {{automatic, "auto"}, {on, "on"}, {off, "off"}};
};

/// automatic: lanes where threads are allowed, else one warning; on: Error(environment) where they
/// are not. Collective.
std::unique_ptr<Channel> open_channel(World& world, Traffic kind, Overlap overlap);
/// The same among the ranks of `comm`, which becomes the channel's.
std::unique_ptr<Channel> open_channel(World& world, std::unique_ptr<Communicator> comm,
                                      Overlap overlap);

}  // namespace bitstill
