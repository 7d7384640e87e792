#include "bitstill/base/output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {

void occupy_standard_streams() {
  // open() takes the lowest free number. Read-only, so that printing still fails, as it has to.
  int number = 0;
  while (number >= 0 && number <= STDERR_FILENO) number = ::open("/dev/null", O_RDONLY);
  if (number > STDERR_FILENO) ::close(number);
}

void flush_output() {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  const int reason = flushed ? 0 : errno;  // an earlier failure's is not known any more
  if (flushed && std::ferror(stdout) == 0) return;
  throw Error(ExitCode::storage,
              concat("standard output is lost", reason != 0 ? ": " : "",
                     reason != 0 ? std::strerror(reason) : "",
                     "; make room where it goes, or send it elsewhere, and start again"));
}

}  // namespace bitstill
