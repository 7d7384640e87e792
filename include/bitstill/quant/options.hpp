// What a quantizer can be told; src/config binds these to the command line and the recipe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/base/words.hpp"

namespace bitstill {

enum class QuantMethod { none, uniform, points, joint, lsq, kmeans };
template <>
struct WordsOf<QuantMethod> {
  using enum QuantMethod;
  static constexpr Word<QuantMethod> kTable[] = {{none, "none"},
                                                 {uniform, "uniform", "points fixed"},
                                                 {points, "points", "learned; the weights stay"},
                                                 {joint, "joint", "both learned"},
                                                 {lsq, "lsq", "learned step"},
                                                 {kmeans, "kmeans", "codes fixed, points learned"}};
};

enum class Scaling { linear, absmax, absnorm };
template <>
struct WordsOf<Scaling> {
  using enum Scaling;
  static constexpr Word<Scaling> kTable[] = {
      {linear, "linear", "min to max"},
      {absmax, "absmax"},
      {absnorm, "absnorm", "2-norm; give stochastic rounding"}};
};

enum class BucketRange { minmax, error };
template <>
struct WordsOf<BucketRange> {
  using enum BucketRange;
  static constexpr Word<BucketRange> kTable[] = {{minmax, "minmax"},
                                                 {error, "error", "of least squared error"}};
};

enum class Rounding { nearest, stochastic };
template <>
struct WordsOf<Rounding> {
  using enum Rounding;
  static constexpr Word<Rounding> kTable[] = {{nearest, "nearest"}, {stochastic, "stochastic"}};
};

enum class ScaleType { fp32, fp16, bf16 };
template <>
struct WordsOf<ScaleType> {
  using enum ScaleType;
  static constexpr Word<ScaleType> kTable[] = {{fp32, "fp32"}, {fp16, "fp16"}, {bf16, "bf16"}};
};

enum class QuantGradient { straight_through, truncated, range };
template <>
struct WordsOf<QuantGradient> {
  using enum QuantGradient;
  static constexpr Word<QuantGradient> kTable[] = {{straight_through, "straight-through"},
                                                   {truncated, "truncated", "weights in [-1, 1]"},
                                                   {range, "range", "through the range, too"}};
};

enum class QuantTensors { weights, all };
template <>
struct WordsOf<QuantTensors> {
  using enum QuantTensors;
  static constexpr Word<QuantTensors> kTable[] = {{weights, "weights"},
                                                  {all, "all", "biases and norms too"}};
};

enum class PointStart { automatic, quantiles, uniform, kmeans };
template <>
struct WordsOf<PointStart> {
  using enum PointStart;
  static constexpr Word<PointStart> kTable[] = {
      {automatic, "auto", "points: quantiles, else kmeans"},
      {quantiles, "quantiles"},
      {uniform, "uniform"},
      {kmeans, "kmeans"}};
};

enum class LearnedUpdate { automatic, adam, scaled, sgd };
template <>
struct WordsOf<LearnedUpdate> {
  using enum LearnedUpdate;
  static constexpr Word<LearnedUpdate> kTable[] = {
      {automatic, "auto"},
      {adam, "adam"},
      {scaled, "scaled", "sums over sqrt(weights points)"},
      {sgd, "sgd"}};
};

enum class StepSize { tensor, channel, bucket };
template <>
struct WordsOf<StepSize> {
  using enum StepSize;
  static constexpr Word<StepSize> kTable[] = {
      {tensor, "tensor"}, {channel, "channel"}, {bucket, "bucket"}};
};

enum class Redistribute { off, points, bytes };
template <>
struct WordsOf<Redistribute> {
  using enum Redistribute;
  static constexpr Word<Redistribute> kTable[] = {
      {off, "off"}, {points, "points"}, {bytes, "bytes"}};
};

enum class Alternate { off, keep, reference };
template <>
struct WordsOf<Alternate> {
  using enum Alternate;
  static constexpr Word<Alternate> kTable[] = {{off, "off"},
                                               {keep, "keep", "with the learned points"},
                                               {reference, "reference", "with uniform ones"}};
};

/// quant.*; each setting's meaning stands in visit_settings below.
struct QuantOptions {
  QuantMethod method = QuantMethod::none;
  int64_t bits = 4, points = 0, bucket = 256;
  Scaling scaling = Scaling::linear;
  BucketRange range = BucketRange::minmax;
  Rounding rounding = Rounding::nearest;
  ScaleType scales = ScaleType::fp32;
  double clip = 0;
  bool subtract_mean = false;
  QuantGradient gradient = QuantGradient::straight_through;
  QuantTensors tensors = QuantTensors::weights;
  std::string rules;
  bool clip_gradient = true;
  bool first_layer = true, last_layer = true;
  PointStart start = PointStart::automatic;
  LearnedUpdate optimizer = LearnedUpdate::automatic;
  StepSize step_size = StepSize::tensor;
  double rate = 0;
  Redistribute redistribute = Redistribute::off;
  Alternate alternate = Alternate::off;
};

/// Calls visit(name, member, help) for every setting, `options` const or not.
template <ConstOr<QuantOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("method", options.method, "");
  visit("bits", options.bits, "1..8: 2^bits points");
  visit("points", options.points, "2..256 points instead of 2^bits; 0: 2^bits");
  visit("bucket", options.bucket, "values a scale; 0: one bucket a tensor");
  visit("scaling", options.scaling, "");
  visit("range", options.range, "of each bucket");
  visit("clip", options.clip, "first clip weights to [-clip, clip]; 0: no");
  visit("subtract_mean", options.subtract_mean, "of each tensor, added back after quantizing");
  visit("rounding", options.rounding, "");
  visit("scales", options.scales, "type of the buckets' scales, also in training");
  visit("gradient", options.gradient, "");
  visit("clip_gradient", options.clip_gradient,
        "joint: no gradient for weights beyond the outermost points, as lsq");
  visit("tensors", options.tensors, "");
  visit("first_layer", options.first_layer, "quantize the first layer");
  visit("last_layer", options.last_layer, "quantize the last layer");
  visit("rules", options.rules,
        "PATTERN:VALUE,...: tensors by name (* matches anything), the first match counts; VALUE is "
        "bits, or a number of points with p (3p), or none");
  visit("start", options.start, "where learned points start");
  visit("optimizer", options.optimizer, "of what is learned");
  visit("rate", options.rate, "of what is learned; follows train.schedule; 0: the method's own");
  visit("step_size", options.step_size, "lsq: what has a step of its own");
  visit("redistribute", options.redistribute,
        "move points to the tensors with the largest gradients; what stays");
  visit("alternate", options.alternate, "points: train weights in odd epochs, points in even ones");
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
/// codes, scales and points would take as much (the paper). Learned points are at most half of the
/// values.
int64_t points_of(const QuantOptions& options, const std::string& name,
                  const std::vector<int64_t>& shape);

/// The values of a bucket in a tensor of this shape: never 0.
int64_t bucket_of(const QuantOptions& options, const std::vector<int64_t>& shape);

/// What the paper counts for one quantized tensor, in bits: codes, scales, points.
int64_t formula_bits(const QuantOptions& options, const std::vector<int64_t>& shape,
                     int64_t points);

}  // namespace bitstill
