#include "bitstill/codec/seal.hpp"

#include "bitstill/base/error.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {

std::optional<std::size_t> find_seal(std::string_view json) {
  // Within a text of the JSON its quotes are escaped, so this is the name of a field.
  const std::string field = concat('"', kSealName, "\":\"");
  const std::size_t found = json.find(field);
  if (found == std::string_view::npos) return std::nullopt;
  const std::size_t place = found + field.size();
  if (json.size() < place + kNoSeal.size() || json[place + kNoSeal.size()] != '"') {
    return std::nullopt;
  }
  return place;
}

std::string sealed(std::string json) {
  const std::size_t place = find_seal(json).value();
  return json.replace(place, kNoSeal.size(), sha256_hex(json));
}

std::string require_sealed(std::string json, const std::string& where) {
  const auto place = find_seal(json);
  if (!place) refuse_seal(where);
  std::string seal = json.substr(*place, kNoSeal.size());
  json.replace(*place, kNoSeal.size(), kNoSeal);
  if (sha256_hex(json) != seal) refuse_seal(where);
  return seal;
}

void refuse_seal(const std::string& where) {
  throw Error(
      ExitCode::model,
      concat(where,
             ": its bytes do not have the SHA-256 that it carries; it is damaged, or another "
             "program wrote it again: copy or write it again"));
}

}  // namespace bitstill
