#include "jpeg_failure.hpp"

#include <jerror.h>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

/// Passes over the image in one file: a common script has 10, and each costs all pixels anew.
constexpr int kMostScans = 100;

/// Costs no pixel: an unknown JFIF or Adobe version, spectral bounds that a sequential scan does
/// not use, bytes between segments or before a restart marker.
bool is_harmless(int warning) {
  return warning == JWRN_JFIF_MAJOR || warning == JWRN_ADOBE_XFORM ||
         warning == JWRN_NOT_SEQUENTIAL || warning == JWRN_EXTRANEOUS_DATA;
}

void fail(j_common_ptr jpeg) {
  auto* failure = reinterpret_cast<JpegFailure*>(jpeg->err);
  jpeg->err->format_message(jpeg, failure->reason);
  std::longjmp(failure->back, 1);
}

void judge(j_common_ptr jpeg, int level) {
  if (level < 0 && !is_harmless(jpeg->err->msg_code)) fail(jpeg);
}

void count_scans(j_common_ptr jpeg) {
  auto* decoder = reinterpret_cast<j_decompress_ptr>(jpeg);
  if (decoder->input_scan_number <= kMostScans) return;
  auto* failure = reinterpret_cast<JpegFailure*>(jpeg->err);
  std::snprintf(failure->reason, sizeof failure->reason, "more than %d scans", kMostScans);
  std::longjmp(failure->back, 1);
}

}  // namespace

JpegFailure::JpegFailure() {
  jpeg_std_error(&base);
  base.error_exit = fail;
  base.emit_message = judge;
  progress.progress_monitor = count_scans;
}

void JpegFailure::raise(const char* what) const {
  throw Error(ExitCode::data, concat(what, ": ", reason));
}

}  // namespace bitstill
