#include "bitstill/model/weights.hpp"

#include <ATen/core/grad_mode.h>

#include <map>
#include <sstream>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  std::ostringstream out;
  out << shape;
  return out.str();
}

constexpr std::size_t kMostNames = 4;  // another depth or width concerns hundreds

void add(std::string& message, const char* title, const std::vector<std::string>& names) {
  if (names.empty()) return;
  message += message.empty() ? "" : "; ";
  message += concat(title, " ", list_names(names, kMostNames));
}

}  // namespace

NamedTensors named_tensors(const Network& network) {
  NamedTensors tensors;
  for (const Parameter* parameter : network.parameters()) {
    tensors.emplace_back(parameter->name, parameter->value.detach());
  }
  for (const Buffer* buffer : network.buffers()) tensors.emplace_back(buffer->name, buffer->value);
  return tensors;
}

std::map<std::string, std::string> stored_names(const Network& network) {
  std::map<const c10::TensorImpl*, std::string> first;
  std::map<std::string, std::string> names;
  for (const auto& unit : network.units()) {
    for (const Parameter* parameter : unit->parameters()) {
      const auto* const tensor = parameter->value.unsafeGetTensorImpl();
      names[parameter->name] = first.emplace(tensor, parameter->name).first->second;
    }
  }
  return names;
}

NetworkSource::NetworkSource(const Network& network) {
  for (const auto& [name, tensor] : named_tensors(network)) tensors_.emplace(name, tensor);
}

at::Tensor NetworkSource::rows(const std::string& name, int64_t first, int64_t count) {
  return tensors_.at(name).narrow(0, first, count).to(at::kCPU, at::kFloat).contiguous();
}

at::Tensor NetworkSource::whole(const std::string& name) {
  return rows(name, 0, tensors_.at(name).size(0));
}

void require_fits(const Network& network, const std::vector<TensorFacts>& tensors,
                  const std::string& where) {
  std::map<std::string, const TensorFacts*> given;
  std::vector<std::string> missing, extra, misshaped;
  for (const TensorFacts& tensor : tensors) {
    if (tensor.name.ends_with("num_batches_tracked")) continue;
    if (!given.emplace(tensor.name, &tensor).second) extra.push_back(tensor.name + " (twice)");
  }
  for (const auto& [name, tensor] : named_tensors(network)) {
    const auto found = given.find(name);
    if (found == given.end()) {
      missing.push_back(name);
      continue;
    }
    const TensorFacts& facts = *found->second;
    if (tensor.sizes() != facts.shape || !facts.floating) {
      misshaped.push_back(concat(name, " ", shape_text(facts.shape), " ", facts.type,
                                 " instead of ", shape_text(tensor.sizes())));
    }
    given.erase(found);
  }
  for (const auto& [name, tensor] : given) extra.push_back(name);
  std::string message;
  add(message, "missing", missing);
  add(message, "extra", extra);
  add(message, "misshaped", misshaped);
  if (!message.empty()) {
    throw Error(ExitCode::model, concat(where, ": the tensors do not fit the ", network.spec().kind,
                                        " network: ", message,
                                        "; say which network it holds (kind, depth, width_factor, "
                                        "stem, ...) and give data of its classes"));
  }
}

void assign(Network& network, const NamedTensors& tensors, const std::string& where) {
  std::vector<TensorFacts> facts;
  std::map<std::string, const at::Tensor*> given;
  for (const auto& [name, tensor] : tensors) {
    facts.push_back({name, tensor.sizes().vec(), c10::toString(tensor.scalar_type()),
                     at::isFloatingType(tensor.scalar_type())});
    given.emplace(name, &tensor);
  }
  require_fits(network, facts, where);
  const at::NoGradGuard no_gradient;
  for (auto& [name, tensor] : named_tensors(network)) tensor.copy_(*given.at(name));
}

}  // namespace bitstill
