#include "bitstill/codec/manifest.hpp"

#include "bitstill/base/error.hpp"
#include "bitstill/base/json.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/codec/seal.hpp"

namespace bitstill {
namespace {

constexpr int64_t kManifestFormat = 1;
constexpr uint64_t kMostCount = uint64_t{1} << 62;

Json to_json(const SealedFile& file) {
  return {{"bytes", file.bytes}, {"sha256", file.sha256}};
}

/// What reading a manifest needs; Error(model) naming it where a member is not what it should be.
struct ManifestReader {
  const std::string& where;

  [[noreturn]] void refuse() const {
    throw Error(ExitCode::model, where + " is no manifest of a checkpoint");
  }
  const Json& member(const Json& json, const char* name) const {
    const auto found = json.find(name);
    if (!json.is_object() || found == json.end()) refuse();
    return *found;
  }
  int64_t count(const Json& json, const char* name) const {
    const Json& number = member(json, name);
    if (!number.is_number_unsigned() || number.get<uint64_t>() > kMostCount) refuse();
    return number.get<int64_t>();
  }
  SealedFile file(const Json& json) const {
    const Json& sha256 = member(json, "sha256");
    if (!sha256.is_string()) refuse();
    return {static_cast<uint64_t>(count(json, "bytes")), sha256.get<std::string>()};
  }
};

}  // namespace

std::string manifest_text(const Manifest& manifest) {
  Json json = {{kSealName, kNoSeal},
               {"format", kManifestFormat},
               {"step", manifest.step},
               {"epoch", manifest.epoch},
               {"world", manifest.world},
               {"parts", Json::array()},
               {"best_step", manifest.best_step}};
  for (const SealedFile& part : manifest.parts) json["parts"].push_back(to_json(part));
  if (manifest.best) json["best"] = to_json(*manifest.best);
  return sealed(json.dump()) + "\n";
}

Manifest parse_manifest(const std::string& text, const std::string& where) {
  if (text.empty() || text.back() != '\n') refuse_seal(where);
  Manifest manifest;
  manifest.seal = require_sealed(text.substr(0, text.size() - 1), where);
  const Json json = parse_json(text, where, ExitCode::model);
  const ManifestReader reader{where};
  if (const Json& format = reader.member(json, "format"); format != kManifestFormat) {
    throw Error(ExitCode::model,
                concat(where, " is of format ", format.dump(), " and this bitstill reads format ",
                       kManifestFormat, "; use a newer bitstill"));
  }
  manifest.step = reader.count(json, "step");
  manifest.epoch = reader.count(json, "epoch");
  manifest.world = reader.count(json, "world");
  manifest.best_step = reader.count(json, "best_step");
  const Json& parts = reader.member(json, "parts");
  if (!parts.is_array() || parts.empty()) reader.refuse();
  for (const Json& part : parts) manifest.parts.push_back(reader.file(part));
  if (json.contains("best")) manifest.best = reader.file(json["best"]);
  return manifest;
}

}  // namespace bitstill
