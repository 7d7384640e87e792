// A network's tensors by name, and back.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/model/network.hpp"
#include "bitstill/model/piecewise.hpp"

namespace bitstill {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Parameters and buffers (with PyTorch's num_batches_tracked left out), in order: shares memory.
NamedTensors named_tensors(const Network& network);

/// The name under which each parameter's tensor is stored: of tied ones the first one's.
std::map<std::string, std::string> stored_names(const Network& network);

/// A tensor of a file, not read: enough to see whether it fits.
struct TensorFacts {
  std::string name;
  std::vector<int64_t> shape;
  std::string type;  // in words
  bool floating = true;
};
/// Error(model) as assign()'s.
void require_fits(const Network& network, const std::vector<TensorFacts>& tensors,
                  const std::string& where);

/// A network in memory, which must outlive it. std::out_of_range for a name that it does not have.
class NetworkSource : public TensorSource {
 public:
  explicit NetworkSource(const Network& network);
  at::Tensor rows(const std::string& name, int64_t first, int64_t count) override;
  at::Tensor whole(const std::string& name) override;

 private:
  std::map<std::string, at::Tensor> tensors_;
};

/// Copies the tensors into the network. Every missing, extra or misshaped tensor is named in one
/// Error(model) that starts with `where`. "...num_batches_tracked" is ignored.
void assign(Network& network, const NamedTensors& tensors, const std::string& where);

}  // namespace bitstill
