// What a quantizer can be told; src/config binds these to the command line and the recipe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/json.hpp"

namespace bitstill {

/// quant.*; each setting's meaning stands in visit_settings below.
struct QuantOptions {
  std::string method = "none";
  int64_t bits = 4, points = 0, bucket = 256;
  std::string scaling = "linear", range = "minmax", rounding = "nearest", scales = "fp32";
  double clip = 0;
  bool subtract_mean = false;
  std::string gradient = "straight-through", tensors = "weights", rules;
  bool clip_gradient = true;
  bool first_layer = true, last_layer = true;
  std::string start = "auto", optimizer = "auto", step_size = "tensor";
  double rate = 0;
  std::string redistribute = "off", alternate = "off";
};

/// Calls visit(name, member, help) for every setting, `options` const or not.
template <class Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("method", options.method,
        "none | uniform (points fixed) | points (learned; the weights stay) | joint (both learned) "
        "| lsq (learned step) | kmeans (codes fixed, points learned)");
  visit("bits", options.bits, "1..8: 2^bits points");
  visit("points", options.points, "2..256 points instead of 2^bits; 0: 2^bits");
  visit("bucket", options.bucket, "values a scale; 0: one bucket a tensor");
  visit("scaling", options.scaling,
        "linear (min to max) | absmax | absnorm (2-norm; give stochastic rounding)");
  visit("range", options.range, "minmax | error: the range of least squared error in each bucket");
  visit("clip", options.clip, "first clip weights to [-clip, clip]; 0: no");
  visit("subtract_mean", options.subtract_mean, "of each tensor, added back after quantizing");
  visit("rounding", options.rounding, "nearest | stochastic");
  visit("scales", options.scales,
        "fp32 | fp16 | bf16: type of the buckets' scales, also in training");
  visit("gradient", options.gradient,
        "straight-through | truncated (weights in [-1, 1]) | range (through the range, too)");
  visit("clip_gradient", options.clip_gradient,
        "joint: no gradient for weights beyond the outermost points, as lsq");
  visit("tensors", options.tensors, "weights | all (biases and norms too)");
  visit("first_layer", options.first_layer, "quantize the first layer");
  visit("last_layer", options.last_layer, "quantize the last layer");
  visit("rules", options.rules,
        "PATTERN:VALUE,...: tensors by name (* matches anything), the first match counts; VALUE is "
        "bits, or a number of points with p (3p), or none");
  visit(
      "start", options.start,
      "auto (points: quantiles, else kmeans) | quantiles | uniform | kmeans: where learned points "
      "start");
  visit("optimizer", options.optimizer,
        "of what is learned: auto | adam | scaled (sums over sqrt(weights points)) | sgd");
  visit("rate", options.rate, "of what is learned; follows train.schedule; 0: the method's own");
  visit("step_size", options.step_size, "lsq: one step a tensor | channel | bucket");
  visit("redistribute", options.redistribute,
        "off | points | bytes: move points to the tensors with the largest gradients; what stays");
  visit("alternate", options.alternate,
        "points: off | keep | reference: train weights in odd epochs, points in even ones; in the "
        "weights' epochs with the learned points (keep) or uniform ones");
}

/// Error(settings) naming the key, the value and what is allowed.
void check(const QuantOptions& options);

Json to_json(const QuantOptions& options);
/// Members that are missing keep their defaults. Error(model) naming `where`.
QuantOptions quant_options_from_json(const Json& json, const std::string& where);

/// Which values a method trains.
struct Trained {
  bool weights = true;   // masters of quantized tensors
  bool others = true;    // tensors that are not quantized
  bool learned = false;  // points or steps
};
Trained trained_by(const QuantOptions& options);

/// Points of a tensor under the options and rules; 0: it stays fp32, since a rule says so, or
/// codes, scales and points would take as much (method.md). Learned points are at most half of the
/// values.
int64_t points_of(const QuantOptions& options, const std::string& name,
                  const std::vector<int64_t>& shape);

/// The values of a bucket in a tensor of this shape: never 0.
int64_t bucket_of(const QuantOptions& options, const std::vector<int64_t>& shape);

/// What method.md counts for one quantized tensor, in bits: codes, scales, points.
int64_t formula_bits(const QuantOptions& options, const std::vector<int64_t>& shape,
                     int64_t points);

}  // namespace bitstill
