// Lets OpenMP's threads spin only briefly before they sleep, as long as the user does not say how.
//
// LibTorch's libgomp spins 300,000 times, some milliseconds. On a machine that others keep busy,
// the thread that is waited for gets its processor only once the spinning one has used up its own
// time: two threads then ran over ten times slower than one.
#include <sys/auxv.h>
#include <unistd.h>

#include <bit>
#include <string_view>
#include <vector>

namespace bitstill {
namespace {

/// Long enough for operations that follow each other at once, some 10 us.
char spin_count[] = "GOMP_SPINCOUNT=1000";

/// libgomp reads its environment as it is loaded, so the program starts itself anew with another.
/// The dynamic loader calls this before any library's own start-up, which is where LibTorch's time
/// to load goes (0.2 s): it costs some milliseconds.
void start_with_brief_spin(int, char** argv, char** environment) {
  // Started as an argument of the dynamic loader, which has no base then, its name would be used.
  if (getauxval(AT_BASE) == 0) return;
  std::vector<char*> entries;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    if (entry.starts_with("GOMP_SPINCOUNT=") || entry.starts_with("OMP_WAIT_POLICY=")) return;
    entries.push_back(*environment);
  }
  entries.insert(entries.end(), {spin_count, nullptr});
  execve(std::bit_cast<const char*>(getauxval(AT_EXECFN)), argv, entries.data());
  // Where that fails the program goes on as it is.
}

[[gnu::section(".preinit_array"),
  gnu::used]] void (*const before_libraries)(int, char**, char**) = start_with_brief_spin;

}  // namespace
}  // namespace bitstill
