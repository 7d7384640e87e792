#include "bitstill/data/mixture.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/base/parallel_for.hpp"
#include "bitstill/base/text.hpp"
#include "draws.hpp"

namespace bitstill {
namespace {

/// The logarithm of a gamma-distributed number, which itself may be too near to 0 (Marsaglia and
/// Tsang 2000).
double log_gamma_number(RandomStream* stream, double shape) {
  if (shape < 1) {
    const double log_power = std::log(above_zero(stream)) / shape;
    return log_gamma_number(stream, shape + 1) + log_power;
  }
  const double d = shape - 1.0 / 3;
  for (;;) {
    const double x = normal(stream), root = 1 + x / std::sqrt(9 * d);
    const double log_uniform = std::log(above_zero(stream));
    if (root <= 0) continue;
    const double log_v = 3 * std::log(root);
    if (log_uniform < x * x / 2 + d - d * root * root * root + d * log_v)
      return std::log(d) + log_v;
  }
}

/// Of Beta(alpha, alpha).
double draw_share(RandomStream* stream, double alpha) {
  const double own = log_gamma_number(stream, alpha), other = log_gamma_number(stream, alpha);
  return 1 / (1 + std::exp(other - own));
}

/// Of two pictures [C,H,W] and the share drawn for them.
using MixPair = std::function<void(const uint8_t* own, const uint8_t* partner, uint8_t* target)>;

/// own * share + partner * (1 - share), in 65536ths, to the nearest.
MixPair blend(int64_t count, double drawn, double* share) {
  const auto weight = static_cast<uint32_t>(std::lround(drawn * 65536));
  *share = weight / 65536.0;
  return [=](const uint8_t* own, const uint8_t* partner, uint8_t* target) {
    for (int64_t i = 0; i < count; ++i) {
      target[i] =
          static_cast<uint8_t>((own[i] * weight + partner[i] * (65536 - weight) + 32768) >> 16);
    }
  };
}

/// A rectangle of the picture's proportions around any pixel, cut off at its borders.
MixPair lay_in(const ImageShape& shape, double drawn, RandomStream* stream, double* share) {
  const double half = std::sqrt(1 - drawn) / 2;
  const auto side = [&](int64_t length, int64_t* begin, int64_t* end) {
    const auto middle = static_cast<int64_t>(stream->below(static_cast<uint64_t>(length)));
    const auto reach = static_cast<int64_t>(half * static_cast<double>(length));
    *begin = std::max<int64_t>(middle - reach, 0);
    *end = std::min(middle + reach, length);
  };
  int64_t left = 0, right = 0, top = 0, bottom = 0;
  side(shape.width, &left, &right);
  side(shape.height, &top, &bottom);
  *share = 1 - static_cast<double>((right - left) * (bottom - top)) /
                   static_cast<double>(shape.width * shape.height);
  return [=](const uint8_t* own, const uint8_t* partner, uint8_t* target) {
    std::copy_n(own, shape.pixels(), target);
    for (int64_t c = 0; c < shape.channels; ++c) {
      for (int64_t y = top; y < bottom; ++y) {
        const int64_t line = (c * shape.height + y) * shape.width;
        std::copy(partner + line + left, partner + line + right, target + line + left);
      }
    }
  };
}

}  // namespace

bool mixes(const MixOptions& options) {
  return options.mixup > 0 || options.cutmix > 0;
}

void check(const MixOptions& options) {
  const auto require = [](const char* name, double alpha) {
    if (alpha == 0 || (alpha >= 1e-3 && alpha <= 1e3)) return;
    throw Error(ExitCode::settings,
                concat("data.", name, " = ", alpha, ": give 0 (off) or 0.001 to 1000"));
  };
  require("mixup", options.mixup);
  require("cutmix", options.cutmix);
}

void mix_rows(const ImageShape& shape, const MixOptions& options, uint64_t seed, int64_t epoch,
              int64_t threads, Batch* batch) {
  if (batch->count() == 0) return;
  // Named by the first row, which no other micro-batch of the epoch holds.
  RandomStream stream = stream_of(seed, Drawn::mixture, batch->rows[0], epoch);
  const bool first = stream.next() >> 31 == 0;  // drawn in any case
  const bool blends = options.cutmix == 0 || (options.mixup > 0 && first);
  const double drawn = draw_share(&stream, blends ? options.mixup : options.cutmix);
  const MixPair mix = blends ? blend(shape.pixels(), drawn, &batch->share)
                             : lay_in(shape, drawn, &stream, &batch->share);
  const std::vector<uint8_t> before = batch->pixels;
  parallel_for(batch->count(), threads, [&](int64_t i) {
    const int64_t partner = (i + batch->count() - 1) % batch->count(), area = shape.pixels();
    mix(&before[static_cast<std::size_t>(i * area)],
        &before[static_cast<std::size_t>(partner * area)],
        &batch->pixels[static_cast<std::size_t>(i * area)]);
  });
  batch->partners = batch->labels;
  std::rotate(batch->partners.begin(), batch->partners.end() - 1, batch->partners.end());
}

}  // namespace bitstill
