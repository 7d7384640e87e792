#include "bitstill/train/student.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "bitstill/base/text.hpp"
#include "bitstill/train/fingerprint.hpp"

namespace bitstill {
namespace {

constexpr int64_t kAlign = 16;  // elements: 64 bytes

at::Tensor view_of(const at::Tensor& flat, const Segment& segment) {
  return flat.narrow(0, segment.offset, segment.count).view(segment.shape);
}

}  // namespace

int64_t points_of(const Parameter& parameter, const QuantOptions& options) {
  if (options.tensors == QuantTensors::weights && parameter.role != ParameterRole::weight) return 0;
  if (parameter.first_layer && !options.first_layer) return 0;
  if (parameter.last_layer && !options.last_layer) return 0;
  return bitstill::points_of(options, parameter.name, parameter.value.sizes().vec());
}

Student::Student(std::unique_ptr<Network> network, const QuantOptions& options, uint64_t seed,
                 const at::Device& device, const std::vector<int64_t>& points)
    : network_(std::move(network)) {
  int64_t elements = 0;
  for (const Parameter* parameter : network_->parameters()) {
    const int64_t count = parameter->value.numel();
    segments_.push_back(
        {parameter->name, parameter->value.sizes().vec(), elements, count,
         points.empty() ? points_of(*parameter, options) : points.at(segments_.size())});
    elements += (count + kAlign - 1) / kAlign * kAlign;
  }
  int64_t statistics = 0;
  for (const Buffer* buffer : network_->buffers()) statistics += buffer->value.numel();

  const auto flat = at::TensorOptions().dtype(at::kFloat).device(device);
  masters_ = at::zeros({elements}, flat);
  gradients_ = at::zeros({elements}, flat);
  running_ = at::zeros({statistics}, flat);
  statistics_ = at::zeros({statistics}, flat);
  quantizer_ = make_quantizer(options, segments_, seed, device);
  shadows_ = quantizer_ ? at::zeros({elements}, flat) : masters_;
  const auto learned = quantizer_ ? static_cast<int64_t>(quantizer_->learned().size()) : 0;
  learned_gradients_ = at::zeros({learned}, at::kFloat);
  make_views();
  if (quantizer_) quantizer_->start(masters_.cpu().const_data_ptr<float>());
  quantize(0);
}

void Student::make_views() {
  const at::Tensor masters = masters_.detach();
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    Parameter& parameter = *network_->parameters()[i];
    view_of(masters, segments_[i]).copy_(parameter.value.detach());
    parameter.value.set_requires_grad(false);
    parameter.value.set_data(view_of(shadows_, segments_[i]));
    parameter.value.set_requires_grad(true);
  }
  move_gradients(gradients_);
  int64_t at = 0;
  for (Buffer* buffer : network_->buffers()) {
    const int64_t count = buffer->value.numel();
    const auto shape = buffer->value.sizes().vec();
    const at::Tensor value = running_.narrow(0, at, count).view(shape);
    value.copy_(buffer->value);
    buffer->value = value;
    // variable_data: a version counter of its own, since autograd checks that what a layer saved
    // was not written since, and every other layer writes into the same flat buffer.
    buffer->statistics = statistics_.narrow(0, at, count).view(shape).variable_data();
    at += count;
  }
}

void Student::move_gradients(const at::Tensor& flat) {
  gradients_ = flat;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    network_->parameters()[i]->value.mutable_grad() = view_of(gradients_, segments_[i]);
  }
}

void Student::move_running(const at::Tensor& batch, double momentum) {
  const std::vector<Buffer*>& buffers = network_->buffers();
  int64_t first = 0;
  for (std::size_t i = 0; i < buffers.size();) {  // runs of equal momentum
    const double own = buffers[i]->momentum;
    int64_t count = 0;
    for (; i < buffers.size() && buffers[i]->momentum == own; ++i) {
      count += buffers[i]->value.numel();
    }
    running_.narrow(0, first, count)
        .lerp_(batch.narrow(0, first, count), own == 0 ? momentum : own);
    first += count;
  }
}

void Student::quantize(int64_t step) {
  step_ = step;
  if (!quantizer_) return;
  quantizer_->quantize(masters_.const_data_ptr<float>(), shadows_.mutable_data_ptr<float>(), step);
}

void Student::backward(bool learned) {
  if (!quantizer_) return;
  quantizer_->backward(masters_.const_data_ptr<float>(), step_,
                       gradients_.mutable_data_ptr<float>(),
                       learned ? learned_gradients_.mutable_data_ptr<float>() : nullptr);
}

void Student::check_views() const {
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const Parameter& parameter = *network_->parameters()[i];
    const at::Tensor& gradient = parameter.value.grad();
    const int64_t offset = segments_[i].offset;
    if (parameter.value.const_data_ptr() != shadows_.const_data_ptr<float>() + offset ||
        !gradient.defined() ||
        gradient.const_data_ptr() != gradients_.const_data_ptr<float>() + offset) {
      throw Error(ExitCode::environment,
                  concat("parameter ", parameter.name,
                         " no longer lies in the flat buffers; a unit replaced its tensor"));
    }
  }
}

NamedTensors Student::state() const {
  NamedTensors tensors;
  const at::Tensor masters = masters_.detach().to(at::kCPU);
  for (const Segment& segment : segments_) {
    tensors.emplace_back(segment.name, view_of(masters, segment));
  }
  for (const Buffer* buffer : network_->buffers()) {
    tensors.emplace_back(buffer->name, buffer->value.detach().to(at::kCPU));
  }
  if (!quantizer_) return tensors;
  for (const LearnedRun& run : quantizer_->learned_runs()) {
    tensors.emplace_back(
        kQuantizerPrefix + run.name,
        at::from_blob(quantizer_->learned().data() + run.offset, {run.count}, at::kFloat));
  }
  return tensors;
}

void Student::load(const NamedTensors& tensors, const std::string& where) {
  NamedTensors own = tensors;
  std::erase_if(own, [](const auto& named) { return named.first.starts_with(kQuantizerPrefix); });
  // Through the parameters (assign checks names and shapes), then shadows become masters.
  at::NoGradGuard no_grad;
  assign(*network_, own, where);
  if (!quantizer_) return;
  masters_.copy_(shadows_);
  quantizer_->start(masters_.cpu().const_data_ptr<float>());  // kmeans: the codes
  load_learned(tensors, where);
  quantize(0);
}

void Student::load_learned(const NamedTensors& tensors, const std::string& where) {
  for (const LearnedRun& run : quantizer_->learned_runs()) {
    const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& named) {
      return named.first == kQuantizerPrefix + run.name;
    });
    if (found == tensors.end() || found->second.numel() != run.count ||
        found->second.scalar_type() != at::kFloat) {
      throw Error(ExitCode::model,
                  concat(where, " does not hold the ", run.count, " learned values of ", run.name,
                         "; use the quant.* settings it was made with"));
    }
    std::copy_n(found->second.contiguous().const_data_ptr<float>(), run.count,
                quantizer_->learned().data() + run.offset);
  }
}

ModelFile Student::packed(int64_t step) const {
  ModelFile file;
  file.attached = attached_;
  const at::Tensor masters = masters_.detach().to(at::kCPU);
  for (const Segment& segment : segments_) {
    if (segment.quantized()) {
      file.quantized.emplace_back(
          segment.name, quantizer_->encode(segment, masters.const_data_ptr<float>(), step));
    } else {
      file.tensors.emplace_back(segment.name, view_of(masters, segment).clone());
    }
  }
  for (const Buffer* buffer : network_->buffers()) {
    file.tensors.emplace_back(buffer->name, buffer->value.detach().to(at::kCPU).clone());
  }
  return file;
}

std::vector<std::pair<std::string, std::string>> Student::fingerprints() const {
  std::vector<std::pair<std::string, std::string>> result;
  for (const auto& [name, tensor] : state()) {
    result.emplace_back(name, fingerprint(tensor));
  }
  return result;
}

}  // namespace bitstill
