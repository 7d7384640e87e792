#include "bitstill/model/registry.hpp"

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

// A table, not self-registering objects: the linker drops those from a static library.
const std::vector<NetworkFamily>& families() {
  static const std::vector<NetworkFamily> all = {convnets()};
  return all;
}

}  // namespace

std::vector<std::string> network_kinds() {
  std::vector<std::string> kinds;
  for (const NetworkFamily& family : families()) {
    kinds.insert(kinds.end(), family.kinds.begin(), family.kinds.end());
  }
  return kinds;
}

std::unique_ptr<Network> make_network(const NetworkSpec& spec, int64_t most_parameters) {
  check_ranges(spec, "model", ExitCode::settings);
  for (const NetworkFamily& family : families()) {
    for (const std::string& kind : family.kinds) {
      if (kind != spec.kind) continue;
      const NetworkSpec whole = family.complete(spec);
      const int64_t count = family.count(whole);
      if (count > most_parameters) {
        throw Error(ExitCode::settings,
                    concat("model ", kind, " has ", count, " parameters, more than the ",
                           most_parameters, " allowed here; make it narrower"));
      }
      return std::make_unique<Network>(whole, family.build(whole));
    }
  }
  const std::vector<std::string> known = network_kinds();
  const std::string near = nearest_name(spec.kind, known);
  throw Error(ExitCode::settings,
              concat("model.kind = ", spec.kind, " is unknown; ",
                     near.empty() ? "known are " + list_names(known, known.size())
                                  : "did you mean " + near + "?"));
}

}  // namespace bitstill
