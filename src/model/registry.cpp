#include "bitstill/model/registry.hpp"

#include <ATen/core/grad_mode.h>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

// A table, not self-registering objects: the linker drops those from a static library.
const std::vector<NetworkFamily>& families() {
  static const std::vector<NetworkFamily> all = {convnets(), resnets(), wide_resnets(), recurrent(),
                                                 transformers()};
  return all;
}

const NetworkFamily& family_of(const std::string& kind) {
  if (const NetworkFamily* family = find_family(kind)) return *family;
  const std::vector<std::string> known = network_kinds();
  const std::string near = nearest_name(kind, known);
  throw Error(ExitCode::settings,
              concat("model.kind = ", kind, " is unknown; ",
                     near.empty() ? "known are " + list_names(known, known.size())
                                  : "did you mean " + near + "?"));
}

}  // namespace

const NetworkFamily* find_family(const std::string& kind) {
  for (const NetworkFamily& family : families()) {
    for (const std::string& known : family.kinds) {
      if (known == kind) return &family;
    }
  }
  return nullptr;
}

std::vector<std::string> network_kinds() {
  std::vector<std::string> kinds;
  for (const NetworkFamily& family : families()) {
    kinds.insert(kinds.end(), family.kinds.begin(), family.kinds.end());
  }
  return kinds;
}

bool of_sentences(const NetworkSpec& spec) {
  const NetworkFamily* const family = find_family(spec.kind);
  return family != nullptr && family->step_decoder != nullptr;
}

std::unique_ptr<StepDecoder> make_step_decoder(const Network& network, bool bf16) {
  const NetworkSpec& spec = network.spec();
  if (!of_sentences(spec)) {
    throw Error(ExitCode::settings,
                concat("a network of kind ", spec.kind, " sees images; give one of sentences"));
  }
  return find_family(spec.kind)->step_decoder(network, bf16);
}

NetworkSpec completed(const NetworkSpec& spec) {
  check_ranges(spec, "model", ExitCode::settings);
  return family_of(spec.kind).complete(spec);
}

namespace {

std::unique_ptr<Network> build(const NetworkSpec& spec, int64_t most_parameters,
                               const c10::Device& device) {
  const NetworkSpec whole = completed(spec);
  const NetworkFamily& family = family_of(spec.kind);
  const int64_t count = family.count(whole);
  if (count > most_parameters) {
    throw Error(ExitCode::settings,
                concat("model ", spec.kind, " has ", count, " parameters, more than the ",
                       most_parameters, " allowed here; make it narrower"));
  }
  return std::make_unique<Network>(whole, family.build(whole, device));
}

}  // namespace

std::unique_ptr<Network> make_network(const NetworkSpec& spec, int64_t most_parameters) {
  return build(spec, most_parameters, c10::kCPU);
}

std::unique_ptr<Network> make_skeleton(const NetworkSpec& spec, int64_t most_parameters) {
  return build(spec, most_parameters, c10::kMeta);
}

void initialize(Network& network, uint64_t seed) {
  const at::NoGradGuard no_gradient;
  const NetworkFamily& family = family_of(network.spec().kind);
  for (Parameter* parameter : network.parameters()) {
    at::Tensor& value = parameter->value;
    if (parameter->role == ParameterRole::weight ||
        (parameter->role == ParameterRole::bias && family.draws_biases)) {
      RandomStream stream(seed, StreamPurpose::initialization, parameter->name);
      value.copy_(family.initialize(*parameter, stream));
      continue;
    }
    const bool scale =
        parameter->role == ParameterRole::norm && parameter->name.ends_with("weight");
    value.fill_(scale && !parameter->starts_at_zero ? 1 : 0);
  }
}

}  // namespace bitstill
