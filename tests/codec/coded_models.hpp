// Random models for tests of the packed file: every form of points, scales, buckets and codes.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <map>

#include "bitstill/base/error.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/codec/packed_model.hpp"

namespace bitstill {

struct PlainCopy {
  Dtype dtype = Dtype::f32;
  std::vector<int64_t> shape;
  std::string bytes;
  bool operator==(const PlainCopy&) const = default;
};

/// A whole model in memory.
struct TestModel {
  Json about;
  std::map<std::string, PlainCopy> plain;
  std::vector<CodedTensor> coded;
};

inline std::string to_bytes(const TestModel& model) {
  std::vector<PlainTensor> plain;
  for (const auto& [name, one] : model.plain) {
    plain.push_back({name, one.dtype, one.shape, one.bytes.data()});
  }
  StringSink sink;
  write_packed_model("m", model.about, plain, model.coded, sink);
  return sink.bytes;
}

/// Reads; where strangers declare more than `most` bytes of plain tensors the test fails.
inline TestModel from_bytes(const std::string& bytes) {
  TestModel model;
  const ByteSource source{bytes.size(), [&](uint64_t offset, void* to, std::size_t count) {
                            ASSERT_LE(count, bytes.size());
                            ASSERT_LE(offset, bytes.size() - count);
                            std::memcpy(to, bytes.data() + offset, count);
                          }};
  auto packed = read_packed_model(
      source, "m", [&](const std::string& name, Dtype dtype, const std::vector<int64_t>& shape) {
        auto count = static_cast<std::size_t>(dtype_bytes(dtype));
        for (const int64_t size : shape) count *= static_cast<std::size_t>(size);
        EXPECT_LE(count, bytes.size());
        auto& one = model.plain[name];
        one = {dtype, shape, std::string(count, '\0')};
        return one.bytes.data();
      });
  model.about = std::move(packed.about);
  model.coded = std::move(packed.coded);
  return model;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), 4 * a.size()) == 0);
}

/// Tensors of a file come group by group: compared by name.
inline void expect_equal(const TestModel& got, const TestModel& wanted) {
  EXPECT_EQ(got.plain, wanted.plain);
  ASSERT_EQ(got.coded.size(), wanted.coded.size());
  std::map<std::string, const CodedTensor*> found;
  for (const auto& tensor : got.coded) found[tensor.name] = &tensor;
  for (const auto& tensor : wanted.coded) {
    ASSERT_TRUE(found.contains(tensor.name)) << tensor.name;
    const CodedTensor& other = *found[tensor.name];
    EXPECT_EQ(other.shape, tensor.shape) << tensor.name;
    EXPECT_EQ(other.count, tensor.count) << tensor.name;
    EXPECT_EQ(other.bucket, tensor.bucket) << tensor.name;
    EXPECT_EQ(other.codes, tensor.codes) << tensor.name;
    EXPECT_TRUE(same_bits(other.points, tensor.points)) << tensor.name;
    EXPECT_TRUE(same_bits(other.alpha, tensor.alpha)) << tensor.name;
    EXPECT_TRUE(same_bits(other.beta, tensor.beta)) << tensor.name;
  }
}

inline std::vector<float> random_points(RandomStream& random, std::size_t count) {
  std::vector<float> points;
  const auto form = random.below(4);
  const auto last = static_cast<float>(count - 1);
  const auto half = static_cast<float>((count - 1) / 2);
  for (std::size_t j = 0; j < count; ++j) {
    const auto number = static_cast<float>(j);
    if (form == 0 && count > 1) {
      points.push_back(number / last);
    } else if (form == 1 && count > 2) {
      points.push_back((number - half) / half);
    } else if (form == 2) {
      points.push_back(number - static_cast<float>(count / 2));
    } else {
      points.push_back(number + random.uniform());
    }
  }
  return points;
}

/// A scale: any fp32, or one that fits a 16-bit type exactly.
inline float random_scale(RandomStream& random, uint64_t form) {
  const float value = (random.uniform() - 0.5F) * 4;
  if (form == 0) return value;
  if (form == 1) return std::bit_cast<float>(std::bit_cast<uint32_t>(value) & 0xFFFF0000);
  if (random.below(5) == 0) return static_cast<float>(random.below(1024)) * 0x1p-24F;  // subnormal
  return std::bit_cast<float>(std::bit_cast<uint32_t>(0.5F + random.uniform() * 0.5F) & 0xFFFFE000);
}

inline CodedTensor random_coded(RandomStream& random, const std::string& name,
                                std::vector<int64_t> shape, std::size_t points, uint64_t shared) {
  CodedTensor tensor;
  tensor.name = name;
  tensor.shape = std::move(shape);
  tensor.count = 1;
  for (const int64_t size : tensor.shape) tensor.count *= size;
  tensor.points = random_points(random, points);
  const auto form = random.below(4);
  tensor.bucket = form == 0 ? std::max<int64_t>(1, tensor.count)
                  : form == 1
                      ? std::max<int64_t>(1, tensor.count / std::max<int64_t>(1, tensor.shape[0]))
                  : form == 2 ? static_cast<int64_t>(1 + random.below(40))
                              : static_cast<int64_t>(16 + shared);
  const auto scale_form = random.below(3);
  const bool beta = random.below(2) == 0;
  for (int64_t i = 0; i < tensor.count; i += tensor.bucket) {
    tensor.alpha.push_back(random_scale(random, scale_form));
    tensor.beta.push_back(beta ? random_scale(random, scale_form) : 0.0F);
  }
  const auto spread = random.below(4);  // 0: one code; more: the mean of so many is taken
  for (int64_t i = 0; i < tensor.count; ++i) {
    uint64_t sum = 0;
    for (uint64_t j = 0; j < spread; ++j) sum += random.below(points);
    tensor.codes.push_back(static_cast<uint8_t>(spread == 0 ? 0 : sum / spread));
  }
  return tensor;
}

/// 0 to 5 coded tensors of up to `most` values and 0 to 3 plain ones.
inline TestModel random_model(uint64_t seed, uint64_t most) {
  RandomStream random(seed, StreamPurpose::order, 77);
  TestModel model;
  model.about = {{"kind", "student"}, {"seed", seed}};
  const std::size_t common = 1 + random.below(random.below(2) == 0 ? 16 : 256);
  for (uint64_t t = random.below(6); t > 0; --t) {
    const auto rows = static_cast<int64_t>(random.below(9) == 0 ? 0 : 1 + random.below(5));
    const auto columns = static_cast<int64_t>(1 + random.below(most / 5));
    const std::size_t points = random.below(3) == 0 ? 1 + random.below(256) : common;
    model.coded.push_back(
        random_coded(random, concat(t, ".weight"), {rows, columns}, points, seed % 3));
  }
  for (uint64_t t = random.below(4); t > 0; --t) {
    const auto size = static_cast<int64_t>(random.below(20));
    PlainCopy one{random.below(4) == 0 ? Dtype::i64 : Dtype::f32, {size}, ""};
    for (int64_t i = 0; i < size * dtype_bytes(one.dtype); ++i) {
      one.bytes.push_back(static_cast<char>(random.below(120)));
    }
    model.plain[concat(t, ".bias")] = one;
  }
  return model;
}

}  // namespace bitstill
