#include "mpi_world.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <fstream>
#include <thread>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr std::chrono::seconds kAbortGrace(2);

std::atomic<bool> ending{false};  // this process has said its last line

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown host";
}

/// On another host than mpirun's, Open MPI's daemon waits for ever once the cable between the two
/// is cut: a process that outlives this one ends it after 5 s, within which it ends by itself
/// elsewhere.
void end_daemon_later() {
  const pid_t daemon = getppid();
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(daemon) + "/comm"), name);
  if ((name != "orted" && name != "prted") || fork() != 0) return;
  setsid();  // the daemon kills the groups of its ranks
  const auto ends_within = [daemon](int tenths) {
    for (; tenths > 0; --tenths) {
      usleep(100000);
      if (kill(daemon, 0) != 0) return true;
    }
    return false;
  };
  if (ends_within(50)) _exit(0);
  kill(daemon, SIGTERM);
  if (!ends_within(20)) kill(daemon, SIGKILL);  // it may have been started with SIGTERM blocked
  _exit(0);
}

Place find_place() {
  Place place;
  MPI_Comm host = MPI_COMM_NULL;
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &place.rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &place.world), "MPI_Comm_size");
  check_mpi(
      MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, place.rank, MPI_INFO_NULL, &host),
      "MPI_Comm_split_type");
  MPI_Comm_rank(host, &place.local_rank);
  MPI_Comm_size(host, &place.local_world);
  place.first_on_host = place.rank;
  check_mpi(MPI_Bcast(&place.first_on_host, 1, MPI_INT, 0, host), "MPI_Bcast");
  MPI_Comm_free(&host);
  place.host = host_name();
  return place;
}

}  // namespace

MpiWorld::MpiWorld() : exceptions_(std::uncaught_exceptions()) {
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  threads_allowed_ = provided == MPI_THREAD_MULTIPLE;
  place_ = find_place();
  control_ = make_mpi_communicator(duplicate_world(), true, Traffic::control);
}

MpiWorld::~MpiWorld() {
  // MPI_Finalize waits for all ranks: a rank that failed must not enter it.
  if (ending || std::uncaught_exceptions() > exceptions_) return;
  control_.reset();
  MPI_Finalize();
}

MPI_Comm MpiWorld::duplicate_world() const {
  MPI_Comm copy = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &copy), "MPI_Comm_dup");
  return copy;
}

std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  check_mpi(MPI_Get_library_version(text, &length), "MPI_Get_library_version");
  // From "Open MPI v4.1.4, package: ..." or "MPICH Version:\t4.0.2\n...".
  std::string name(text, static_cast<std::size_t>(length));
  name = name.substr(0, name.find_first_of(",\n"));
  const auto word = std::min(name.find(" v"), name.find(" Version"));
  if (word == std::string::npos) return name;
  return name.erase(word + 1, name.find_first_of("0123456789", word) - word - 1);
}

void MpiWorld::fatal(ExitCode code, const std::string& message) {
  if (place_.world == 1) end_job(code, message);
  end_job(code, concat("rank ", place_.rank, " on ", place_.host, ": ", message));
}

void MpiWorld::end_job(ExitCode code, const std::string& message) {
  const int status = static_cast<int>(code);
  if (ending.exchange(true)) {
    for (;;) pause();  // another thread speaks for this process
  }
  print_error(message);
  end_daemon_later();
  std::thread([status] {
    std::this_thread::sleep_for(kAbortGrace);
    _exit(status);
  }).detach();
  MPI_Abort(MPI_COMM_WORLD, status);
  _exit(status);
}

}  // namespace bitstill
