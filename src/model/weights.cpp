#include "bitstill/model/weights.hpp"

#include <ATen/core/grad_mode.h>

#include <map>
#include <sstream>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

std::string shape_text(const at::Tensor& tensor) {
  std::ostringstream out;
  out << tensor.sizes();
  return out.str();
}

void add(std::string& message, const char* title, const std::vector<std::string>& names) {
  if (names.empty()) return;
  message += message.empty() ? "" : "; ";
  message += concat(title, " ", list_names(names, names.size()));
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

NetworkSource::NetworkSource(const Network& network) {
  for (const auto& [name, tensor] : named_tensors(network)) tensors_.emplace(name, tensor);
}

at::Tensor NetworkSource::rows(const std::string& name, int64_t first, int64_t count) {
  return tensors_.at(name).narrow(0, first, count).to(at::kCPU, at::kFloat).contiguous();
}

at::Tensor NetworkSource::whole(const std::string& name) {
  return rows(name, 0, tensors_.at(name).size(0));
}

void assign(Network& network, const NamedTensors& tensors, const std::string& where) {
  std::map<std::string, const at::Tensor*> given;
  std::vector<std::string> missing, extra, misshaped;
  for (const auto& [name, tensor] : tensors) {
    if (name.ends_with("num_batches_tracked")) continue;
    if (!given.emplace(name, &tensor).second) extra.push_back(name + " (twice)");
  }
  NamedTensors ours = named_tensors(network);
  for (const auto& [name, tensor] : ours) {
    const auto found = given.find(name);
    if (found == given.end()) {
      missing.push_back(name);
    } else if (found->second->sizes() != tensor.sizes() ||
               !at::isFloatingType(found->second->scalar_type())) {
      misshaped.push_back(concat(name, " ", shape_text(*found->second), " ",
                                 c10::toString(found->second->scalar_type()), " instead of ",
                                 shape_text(tensor)));
    }
  }
  for (const auto& [name, tensor] : given) {
    bool known = false;
    for (const auto& our : ours) known = known || our.first == name;
    if (!known) extra.push_back(name);
  }
  std::string message;
  add(message, "missing", missing);
  add(message, "extra", extra);
  add(message, "misshaped", misshaped);
  if (!message.empty()) {
    throw Error(ExitCode::model, concat(where, ": the tensors do not fit the ", network.spec().kind,
                                        " network: ", message));
  }
  const at::NoGradGuard no_gradient;
  for (auto& [name, tensor] : ours) tensor.copy_(*given.at(name));
}

}  // namespace bitstill
