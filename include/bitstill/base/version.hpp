// What this build is: for --version, run logs, and the comparison of all ranks at start.
#pragma once

namespace bitstill {

/// "0.1.0"
const char* build_version();
/// The commit built from: "163236b1f0aa", with "-dirty" where files were changed; "unknown" outside
/// a git checkout.
const char* build_commit();
/// "Release GNU 12.2.0 -ffp-contract=off -O3 -DNDEBUG"
const char* build_flags();

}  // namespace bitstill
