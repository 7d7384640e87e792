#include "bitstill/report/translations.hpp"

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {

std::string translations_text(const Translations& translations) {
  const Json json = {{"made_by", translations.made_by},
                     {"lines", translations.lines},
                     {"references", translations.references}};
  return json.dump(0, ' ', false, Json::error_handler_t::replace) + "\n";
}

Translations translations_from(const std::string& text, const std::string& where) {
  using Lines = std::vector<std::string>;
  const Json json = parse_json(text, where, ExitCode::data);
  try {
    Translations read = {json.at("made_by"), json.at("lines").get<Lines>(),
                         json.at("references").get<Lines>()};
    if (read.lines.size() == read.references.size()) return read;
  } catch (const Json::exception&) {
  }
  throw Error(ExitCode::data, concat(where, " is not what a study writes; remove it"));
}

}  // namespace bitstill
