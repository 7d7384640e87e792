// The part of bitstill shard that is for pairs of sentences.
#pragma once

#include "bitstill/config/setting_table.hpp"
#include "bitstill/data/convert_text.hpp"

namespace bitstill {

/// What sentences have beside the settings of all sources.
void add_text_settings(SettingTable& table, TextOptions* text);

/// Takes what both kinds of source have from `options`. Error(settings) where a setting is of the
/// other kind.
void settle_text(const ShardOptions& options, TextOptions* text);

void print(const TextReport& report);

}  // namespace bitstill
