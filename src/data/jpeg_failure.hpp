// How libjpeg's errors and warnings become one Error.
#pragma once

// jpeglib.h needs <cstdio> and does not include it
// clang-format off
#include <cstdio>
#include <jpeglib.h>
// clang-format on

#include <csetjmp>

namespace bitstill {

/// Each warning is judged, since they tell of damage and of oddities alike: those that may cost a
/// pixel are errors. On an error libjpeg jumps to `back` with a reason, so that a caller's setjmp
/// must be in a frame without objects that have destructors.
struct JpegFailure {
  jpeg_error_mgr base{};  // first: libjpeg knows only of it
  jpeg_progress_mgr progress{};
  std::jmp_buf back{};
  char reason[JMSG_LENGTH_MAX] = "";

  JpegFailure();
  [[noreturn]] void raise(const char* what = "damaged JPEG") const;  // Error(data)
};

}  // namespace bitstill
