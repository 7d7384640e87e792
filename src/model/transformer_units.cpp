#include "transformer_units.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <cmath>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr double kNormEpsilon = 1e-6;
constexpr uint64_t kPlaces = 4;  // of a unit's dropout

Parameter matrix(const std::string& name, int64_t size, const c10::Device& device) {
  return {name, ParameterRole::weight, at::zeros({size, size}, device)};
}

/// x grows by what a layer's parts give, dropped out; each has a place of its own.
struct ResidualSum {
  at::Tensor& x;
  double dropout;
  uint64_t first_place;
  const ForwardMode& mode;
  void operator()(const at::Tensor& more, uint64_t place) const {
    x = x + dropped(more, dropout, first_place + place, mode);
  }
};

std::string prefix_of(Side side, int64_t layer) {
  return concat(side == Side::source ? "encoder.transformer." : "decoder.transformer_layers.",
                layer, ".");
}

/// On CPUs in fp32: of short sentences LibTorch's kernel is several times as fast as in bf16.
at::Tensor scaled_dot_product(const at::Tensor& query, const KeysAndValues& memory,
                              const Sight& sight) {
  const auto attend = [&](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    return at::scaled_dot_product_attention(q, k, v, sight.allowed, 0, sight.causal);
  };
  if (!query.is_cpu()) return attend(query, memory.keys, memory.values);
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  return attend(query.to(at::kFloat), memory.keys.to(at::kFloat), memory.values.to(at::kFloat));
}

}  // namespace

at::Tensor position_encodings(int64_t first, int64_t count, int64_t size,
                              const at::Device& device) {
  at::Tensor encodings = at::empty({count, size});
  float* value = encodings.mutable_data_ptr<float>();
  for (int64_t position = first; position < first + count; ++position) {
    for (int64_t i = 0; i < size; i += 2) {
      const double angle = static_cast<double>(position) *
                           std::pow(1e-4, static_cast<double>(i) / static_cast<double>(size));
      *value++ = static_cast<float>(std::sin(angle));
      *value++ = static_cast<float>(std::cos(angle));
    }
  }
  return encodings.to(device);
}

LayerNorm::LayerNorm(const std::string& prefix, int64_t size, const c10::Device& device)
    : weight{prefix + ".weight", ParameterRole::norm, at::ones({size}, device)},
      bias{prefix + ".bias", ParameterRole::norm, at::zeros({size}, device)} {}

at::Tensor LayerNorm::operator()(const at::Tensor& x) const {
  return at::layer_norm(x, weight.value.sizes(), weight.value, bias.value, kNormEpsilon);
}

at::Tensor allowed_by(const at::Tensor& masked) {
  return masked.logical_not().unsqueeze(1).unsqueeze(1);
}

HeadedAttention::HeadedAttention(const std::string& prefix, int64_t size, int64_t head_count,
                                 const c10::Device& device)
    : query(matrix(prefix + "linear_query.weight", size, device)),
      keys(matrix(prefix + "linear_keys.weight", size, device)),
      values(matrix(prefix + "linear_values.weight", size, device)),
      output(matrix(prefix + "final_linear.weight", size, device)),
      heads(head_count) {}

/// [time, n, size] -> [n, heads, time, size / heads].
at::Tensor HeadedAttention::by_heads(const at::Tensor& x, const Parameter& weight) const {
  return at::linear(x, weight.value).unflatten(2, {heads, -1}).permute({1, 2, 0, 3});
}

KeysAndValues HeadedAttention::of(const at::Tensor& memory) const {
  return {by_heads(memory, keys), by_heads(memory, values)};
}

at::Tensor HeadedAttention::operator()(const at::Tensor& x, const KeysAndValues& memory,
                                       const Sight& sight) const {
  const at::Tensor y = scaled_dot_product(by_heads(x, query), memory, sight);
  return at::linear(y.permute({2, 0, 1, 3}).flatten(2), output.value);
}

void HeadedAttention::add_to(std::vector<Parameter*>& all) {
  all.insert(all.end(), {&query, &keys, &values, &output});
}

Filter::Filter(const std::string& prefix, int64_t size, int64_t width, const c10::Device& device)
    : norm(prefix + "layer_norm", size, device),
      in(prefix + "w_1", {width, size}, false, false, device),
      out(prefix + "w_2", {size, width}, false, false, device) {}

at::Tensor Filter::operator()(const at::Tensor& x) const {
  const at::Tensor inner = at::relu(at::linear(norm(x), in.weight.value, in.bias.value));
  return at::linear(inner, out.weight.value, out.bias.value);
}

void Filter::add_to(std::vector<Parameter*>& all) {
  all.insert(all.end(), {&norm.weight, &norm.bias, &in.weight, &in.bias, &out.weight, &out.bias});
}

PositionedEmbedding::PositionedEmbedding(Side side, Parameter table, double dropout,
                                         uint64_t number)
    : side_(side), table_(std::move(table)), dropout_(dropout), number_(number) {}

at::Tensor PositionedEmbedding::rows(const at::Tensor& ids, int64_t first) const {
  const int64_t size = table_.value.size(1);
  const at::Tensor encodings = position_encodings(first, ids.size(0), size, ids.device());
  return at::embedding(table_.value, ids) * std::sqrt(static_cast<double>(size)) +
         encodings.unsqueeze(1);
}

void PositionedEmbedding::pass(Flow& flow, const ForwardMode& mode) {
  const Tokens& tokens = *flow.tokens;
  const at::Tensor& ids = side_ == Side::source ? tokens.source : tokens.target;
  flow.x = dropped(rows(ids, 0), dropout_, kPlaces * number_, mode);
  if (side_ == Side::target) return;
  const at::Tensor lengths = tokens.source_lengths.to(ids.device());
  flow.masked = at::arange(ids.size(0), lengths.options()).ge(lengths.unsqueeze(1));
}

EncoderLayer::EncoderLayer(const NetworkSpec& spec, int64_t layer, uint64_t number,
                           const c10::Device& device)
    : norm(prefix_of(Side::source, layer) + "layer_norm", spec.size, device),
      attention(prefix_of(Side::source, layer) + "self_attn.", spec.size, spec.heads, device),
      filter(prefix_of(Side::source, layer) + "feed_forward.", spec.size, spec.filter, device),
      dropout_(spec.dropout[0]),
      number_(number) {}

void EncoderLayer::pass(Flow& flow, const ForwardMode& mode) {
  const ResidualSum add{flow.x, dropout_, kPlaces * number_, mode};
  const at::Tensor x = norm(flow.x);
  add(attention(x, attention.of(x), {allowed_by(flow.masked), false}), 0);
  add(filter(flow.x), 1);
}

std::vector<Parameter*> EncoderLayer::parameters() {
  std::vector<Parameter*> all = {&norm.weight, &norm.bias};
  attention.add_to(all);
  filter.add_to(all);
  return all;
}

DecoderLayer::DecoderLayer(const NetworkSpec& spec, int64_t layer, uint64_t number,
                           const c10::Device& device)
    : own_norm(prefix_of(Side::target, layer) + "layer_norm_1", spec.size, device),
      context_norm(prefix_of(Side::target, layer) + "layer_norm_2", spec.size, device),
      own(prefix_of(Side::target, layer) + "self_attn.", spec.size, spec.heads, device),
      context(prefix_of(Side::target, layer) + "context_attn.", spec.size, spec.heads, device),
      filter(prefix_of(Side::target, layer) + "feed_forward.", spec.size, spec.filter, device),
      dropout_(spec.dropout[0]),
      number_(number) {}

void DecoderLayer::pass(Flow& flow, const ForwardMode& mode) {
  const ResidualSum add{flow.x, dropout_, kPlaces * number_, mode};
  const at::Tensor x = own_norm(flow.x);
  add(own(x, own.of(x), {{}, true}), 0);  // padding comes last, where no real position looks
  add(context(context_norm(flow.x), context.of(flow.memory), {allowed_by(flow.masked), false}), 1);
  add(filter(flow.x), 2);
}

std::vector<Parameter*> DecoderLayer::parameters() {
  std::vector<Parameter*> all = {&own_norm.weight, &own_norm.bias};
  own.add_to(all);
  all.insert(all.end(), {&context_norm.weight, &context_norm.bias});
  context.add_to(all);
  filter.add_to(all);
  return all;
}

FinalNorm::FinalNorm(Side side, int64_t size, const c10::Device& device)
    : norm(side == Side::source ? "encoder.layer_norm" : "decoder.layer_norm", size, device),
      side_(side) {}

void FinalNorm::pass(Flow& flow, const ForwardMode& /*mode*/) {
  flow.x = norm(flow.x);
  if (side_ == Side::source) flow.memory = flow.x;
}

TransformerUnits::TransformerUnits(const Network& network) {
  auto next = network.units().begin();
  const auto take = [&]<class Kind>(const Kind*& unit) {
    unit = static_cast<const Kind*>((next++)->get());
  };
  encoder.resize(static_cast<std::size_t>(network.spec().layers));
  decoder.resize(static_cast<std::size_t>(network.spec().decoder_layers));
  take(source);
  for (const EncoderLayer*& layer : encoder) take(layer);
  take(encoder_norm);
  take(target);
  for (const DecoderLayer*& layer : decoder) take(layer);
  take(decoder_norm);
}

}  // namespace bitstill
