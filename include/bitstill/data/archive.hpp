// Unpacking what data sets are handed out in: gzip files and zip files (Python wheels).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bitstill {

/// The unpacked bytes; Error(data) naming `where` when they are damaged or more than `most_bytes`.
std::string gunzip(std::string_view packed, const std::string& where, int64_t most_bytes);

/// The member of a zip file with this name; Error(data) when it is not a zip file or has none.
std::string unzip_member(std::string_view zip, const std::string& member, const std::string& where,
                         int64_t most_bytes);

}  // namespace bitstill
