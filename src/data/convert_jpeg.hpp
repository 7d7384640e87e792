// bitstill shard --store jpeg.
#pragma once

#include "bitstill/data/convert.hpp"

namespace bitstill {

/// By all ranks, of options that were checked. Collective.
ConvertReport convert_to_jpeg(const ShardOptions& options, const ConvertRanks& ranks);

}  // namespace bitstill
