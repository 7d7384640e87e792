#include "bitstill/store/model_file.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "../base/python_with_numpy.hpp"
#include "../base/scratch_folder.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/codec/safetensors.hpp"

namespace bitstill {
namespace {

/// Any bits at all, except those of numbers that are not finite.
at::Tensor random_tensor(const std::vector<int64_t>& shape, uint64_t seed) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  RandomStream random(seed, StreamPurpose::initialization);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    float value = random.uniform() * 2 - 1;
    if (random.below(9) == 0) value = -0.0F;
    if (random.below(9) == 0) value = 1e-42F;  // subnormal
    tensor.data_ptr<float>()[i] = value;
  }
  return tensor;
}

QuantizedTensor random_quantized(std::vector<int64_t> shape, int64_t bucket, std::size_t points,
                                 bool uniform, uint64_t seed) {
  QuantizedTensor tensor;
  tensor.shape = std::move(shape);
  tensor.count = 1;
  for (const int64_t size : tensor.shape) tensor.count *= size;
  tensor.bucket = bucket;
  RandomStream random(seed, StreamPurpose::order);
  for (std::size_t j = 0; j < points; ++j) {
    const float even = static_cast<float>(j) / static_cast<float>(points - 1);
    tensor.points.push_back(uniform ? even : even + random.uniform() * 0.001F);
  }
  for (int64_t i = 0; i < tensor.count; ++i) {
    if (i % bucket == 0) {
      tensor.alpha.push_back(random.uniform());
      tensor.beta.push_back(random.uniform() - 0.5F);
    }
    tensor.codes.push_back(static_cast<uint8_t>(random.below(points)));
  }
  return tensor;
}

ModelFile small_student() {
  ModelFile file;
  file.about = {{"kind", "student"}, {"network", {{"kind", "convnet"}}}, {"classes", {"a", "b"}}};
  file.quantized = {{"conv.weight", random_quantized({3, 1, 5, 5}, 16, 4, true, 1)},
                    {"fc.weight", random_quantized({10, 13}, 256, 13, false, 2)}};
  file.tensors = {{"conv.bias", random_tensor({3}, 3)},
                  {"norm.running_mean", random_tensor({1}, 4)}};
  return file;
}

/// A packed file's tensors come kind by kind.
template <class Named>
Named by_name(Named named) {
  std::sort(named.begin(), named.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return named;
}

void expect_equal(const NamedTensors& first, const NamedTensors& second) {
  const NamedTensors a = by_name(first), b = by_name(second);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    ASSERT_EQ(a[i].second.sizes(), b[i].second.sizes()) << a[i].first;
    ASSERT_EQ(a[i].second.scalar_type(), b[i].second.scalar_type()) << a[i].first;
    if (a[i].second.numel() == 0) continue;
    EXPECT_EQ(std::memcmp(a[i].second.data_ptr(), b[i].second.data_ptr(), a[i].second.nbytes()), 0)
        << a[i].first;
  }
}

void expect_equal(const QuantizedTensor& a, const QuantizedTensor& b) {
  EXPECT_EQ(a.shape, b.shape);
  EXPECT_EQ(a.count, b.count);
  EXPECT_EQ(a.bucket, b.bucket);
  EXPECT_EQ(a.points, b.points);
  EXPECT_EQ(a.alpha, b.alpha);
  EXPECT_EQ(a.beta, b.beta);
  EXPECT_EQ(a.codes, b.codes);
}

/// The message of the Error(model) that reading throws; empty when it throws none.
std::string error_of(const std::string& path) {
  try {
    read_model_file(path);
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::model)) << error.what();
    const std::string text = error.what();
    EXPECT_EQ(text.find(path + ": "), 0u) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  return "";
}

void expect_refused(const std::string& path, const std::string& part) {
  const std::string text = error_of(path);
  EXPECT_NE(text.find(part), std::string::npos) << "'" << text << "' lacks '" << part << "'";
}

TEST(ModelFile, BytesAreThoseOfTheFile) {
  const ScratchFolder scratch;
  const std::string path = scratch / "student.safetensors";
  write_model_file(path, small_student());
  EXPECT_EQ(model_file_bytes(small_student()), std::filesystem::file_size(path));
}

TEST(ModelFile, RoundTripsPlainTensors) {
  const ScratchFolder scratch;
  ModelFile file;
  file.tensors = {{"a", random_tensor({3, 5, 7}, 1)},
                  {"none", random_tensor({0, 4}, 2)},
                  {"scalar", random_tensor({}, 3)},
                  {"one", random_tensor({1}, 4)}};
  write_model_file(scratch / "x", file);
  const ModelFile back = read_model_file(scratch / "x");
  EXPECT_TRUE(back.about.is_null());
  EXPECT_TRUE(back.quantized.empty());
  expect_equal(back.tensors, file.tensors);
  write_model_file(scratch / "empty", ModelFile{});
  EXPECT_TRUE(read_model_file(scratch / "empty").tensors.empty());
}

TEST(ModelFile, WritesTensorsAsTheyLookNotAsTheyLie) {
  const ScratchFolder scratch;
  const at::Tensor whole = random_tensor({4, 6}, 1);
  write_model_file(scratch / "x", {nullptr, {{"t", whole.t()}}, {}});
  expect_equal(read_model_file(scratch / "x").tensors, {{"t", whole.t().contiguous()}});
}

TEST(ModelFile, RoundTripsAStudent) {
  const ScratchFolder scratch;
  const ModelFile file = small_student();
  write_model_file(scratch / "x", file);
  const ModelFile back = read_model_file(scratch / "x");
  EXPECT_EQ(back.about["format"], kModelFormat);
  EXPECT_EQ(back.about["classes"][1], "b");
  EXPECT_FALSE(back.about.contains("quantized"));
  expect_equal(back.tensors, file.tensors);
  ASSERT_EQ(back.quantized.size(), 2u);
  const auto got = by_name(back.quantized), wanted = by_name(file.quantized);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(got[i].first, wanted[i].first);
    expect_equal(got[i].second, wanted[i].second);
  }
  expect_equal(decoded_tensors(back), decoded_tensors(file));
  write_model_file(scratch / "y", back);  // what was read is written alike
  EXPECT_TRUE(read_file(scratch / "x", ExitCode::model) ==
              read_file(scratch / "y", ExitCode::model));
}

TEST(ModelFile, RoundTripsEveryWidthAndOddSizes) {
  const ScratchFolder scratch;
  ModelFile file;
  file.about = {{"kind", "student"}};
  uint64_t seed = 10;
  for (const std::size_t points : {2, 3, 4, 5, 8, 16, 17, 32, 64, 128, 255, 256}) {
    for (const int64_t count : {0, 1, 7, 255, 257, 1001}) {
      for (const bool uniform : {true, false}) {
        ++seed;
        file.quantized.emplace_back(
            concat("t", seed), random_quantized({count}, 1 + count / 3, points, uniform, seed));
      }
    }
  }
  file.quantized.emplace_back("one_point", random_quantized({9}, 4, 2, false, 5));
  file.quantized.back().second.points = {0.25F};
  file.quantized.back().second.codes.assign(9, 0);
  write_model_file(scratch / "x", file);
  const ModelFile back = read_model_file(scratch / "x");
  ASSERT_EQ(back.quantized.size(), file.quantized.size());
  const auto got = by_name(back.quantized), wanted = by_name(file.quantized);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(got[i].first, wanted[i].first);
    expect_equal(got[i].second, wanted[i].second);
  }
}

TEST(ModelFile, StoresTwoBitsInAQuarterOfAByte) {
  const ScratchFolder scratch;
  ModelFile file;
  file.quantized = {{"w", random_quantized({100000}, 256, 4, true, 1)}};
  write_model_file(scratch / "x", file);
  const auto bytes = std::filesystem::file_size(scratch / "x");
  EXPECT_GE(bytes, 25000u + 391 * 8);
  EXPECT_LE(bytes, 25000u + 391 * 8 + 512);
  const ModelFile back = read_model_file(scratch / "x");
  EXPECT_EQ(back.sizes.file, bytes);
  EXPECT_EQ(back.sizes.header + back.sizes.codes + back.sizes.scales, bytes);
  EXPECT_NEAR(back.sizes.tensors.at(0).codes, 25000, 1);
  EXPECT_EQ(back.sizes.tensors.at(0).scales, 391 * 8);
}

TEST(ModelFile, TakesPyTorchTypesAndKeepsACheckpoints) {
  const ScratchFolder scratch;
  const at::Tensor values = random_tensor({2, 3}, 1);
  ModelFile file;
  file.tensors = {{"h", values.to(at::kHalf)},
                  {"b", values.to(at::kBFloat16)},
                  {"d", values.to(at::kDouble)},
                  {"bn.num_batches_tracked", values.to(at::kLong)}};
  write_model_file(scratch / "plain", file);
  expect_equal(read_model_file(scratch / "plain").tensors,
               {{"h", values.to(at::kHalf).to(at::kFloat)},
                {"b", values.to(at::kBFloat16).to(at::kFloat)},
                {"d", values}});
  file.tensors.emplace_back("count", values.to(at::kInt));
  write_model_file(scratch / "ints", file);
  expect_refused(scratch / "ints", "count is of type I32");
  file.about = {{"kind", "checkpoint"}};
  write_model_file(scratch / "checkpoint", file);
  expect_equal(read_model_file(scratch / "checkpoint").tensors, file.tensors);
}

TEST(ModelFile, SaysWhatIsWrong) {
  const ScratchFolder scratch;
  expect_refused(scratch / "absent", "No such file");
  expect_refused(scratch.path(), "Is a directory");
  replace_file(scratch / "empty", "");
  expect_refused(scratch / "empty", "is empty");
  replace_file(scratch / "pickle", std::string("PK\x03\x04\x00\x00\x08\x08\x00\x00", 10) + "data");
  expect_refused(scratch / "pickle", "PyTorch pickle (zip)");
  write_model_file(scratch / "good", small_student());
  const std::string bytes = read_file(scratch / "good", ExitCode::model);
  replace_file(scratch / "short", bytes.substr(0, bytes.size() - 1));
  expect_refused(scratch / "short", "is truncated");
  try {
    write_model_file(scratch / "good/under", small_student());
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::storage));
  }
}

TEST(ModelFile, RefusesToWriteWhatDoesNotFit) {
  const ScratchFolder scratch;
  const auto attempt = [&](const auto& spoil) {
    ModelFile file = small_student();
    spoil(file.quantized[1].second);
    EXPECT_THROW(write_model_file(scratch / "x", file), Error);
    EXPECT_FALSE(std::filesystem::exists(scratch / "x"));
  };
  attempt([](QuantizedTensor& tensor) { tensor.codes.pop_back(); });
  attempt([](QuantizedTensor& tensor) { tensor.codes[3] = 13; });
  attempt([](QuantizedTensor& tensor) { tensor.alpha.push_back(1); });
  attempt([](QuantizedTensor& tensor) { tensor.beta[0] = std::nanf(""); });
  attempt([](QuantizedTensor& tensor) { tensor.points.resize(257); });
  attempt([](QuantizedTensor& tensor) { tensor.points.clear(); });
  attempt([](QuantizedTensor& tensor) { tensor.shape = {130, 2}; });
}

TEST(ModelFile, SurvivesDamage) {
  const ScratchFolder scratch;
  write_model_file(scratch / "good", small_student());
  const std::string bytes = read_file(scratch / "good", ExitCode::model);
  RandomStream random(3, StreamPurpose::order);
  for (int round = 0; round < 2000; ++round) {
    std::string changed = bytes;
    for (uint64_t edits = 1 + random.below(4); edits > 0; --edits) {
      changed[random.below(changed.size())] = static_cast<char>(random.next());
    }
    if (random.below(4) == 0) changed.resize(random.below(changed.size()));
    std::ofstream(scratch / "bad", std::ios::binary) << changed;
    if (error_of(scratch / "bad").empty()) {  // then it can be decoded
      EXPECT_EQ(decoded_tensors(read_model_file(scratch / "bad")).size(), 4u);
    }
  }
}

std::string script() {
  return (std::filesystem::path(__FILE__).parent_path() / "decode_student.py").string();
}

TEST(ModelFile, AnIndependentDecoderGetsEqualBits) {
  const std::string python = python_with_numpy();
  if (python.empty()) GTEST_SKIP() << "no Python with numpy";
  const ScratchFolder scratch;
  ModelFile file = small_student();
  for (unsigned bits = 1; bits <= 8; ++bits) {
    file.quantized.emplace_back(
        concat("w", bits), random_quantized({7, 143}, 100, 1U << bits, bits % 3 != 0, 40U + bits));
  }
  write_model_file(scratch / "student", file);
  write_model_file(scratch / "expected", {nullptr, decoded_tensors(file), {}});
  const int status = std::system((python + " " + script() + " " + scratch / "student" + " " +
                                  scratch / "expected" + " > " + scratch / "out 2>&1")
                                     .c_str());
  const std::string out = read_file(scratch / "out", ExitCode::data);
  EXPECT_EQ(status, 0) << out;
  EXPECT_NE(out.find("1 files decode to equal bits, the last with 12 tensors"), std::string::npos)
      << out;
}

/// Both ways with PyPI's safetensors, where BITSTILL_PEER_PYTHON names a Python that has it.
TEST(ModelFile, ThePeersLibraryReadsAndWritesTheSame) {
  const char* const peer = std::getenv("BITSTILL_PEER_PYTHON");
  if (peer == nullptr) GTEST_SKIP() << "BITSTILL_PEER_PYTHON is not set";
  const ScratchFolder scratch;
  ModelFile file;
  file.about = {{"kind", "weights"}};
  file.tensors = {
      {"a", random_tensor({3, 5}, 1)}, {"b", random_tensor({0}, 2)}, {"c", random_tensor({}, 3)}};
  write_model_file(scratch / "ours", file);
  replace_file(
      scratch / "rewrite.py",
      "import sys\n"
      "from safetensors import safe_open\n"
      "from safetensors.torch import save_file\n"
      "with safe_open(sys.argv[1], 'pt') as f:\n"
      "    save_file({k: f.get_tensor(k) for k in f.keys()}, sys.argv[2], f.metadata())\n");
  const std::string command =
      concat(peer, " ", scratch / "rewrite.py", " ", scratch / "ours", " ", scratch / "theirs");
  ASSERT_EQ(std::system(command.c_str()), 0);
  const ModelFile back = read_model_file(scratch / "theirs");
  EXPECT_EQ(back.about["kind"], "weights");
  auto tensors = back.tensors;
  std::sort(tensors.begin(), tensors.end(),
            [](const auto& x, const auto& y) { return x.first < y.first; });
  expect_equal(tensors, file.tensors);
}

TEST(ModelFile, ALargeOneIsComparedWithItsSealToo) {
  const ScratchFolder scratch;
  ModelFile file;
  file.about = {{"kind", "weights"}};
  file.tensors = {{"a", random_tensor({1300, 1000}, 1)}};
  const SealedFile written = write_model_file(scratch / "x", file);
  const ModelFile back = read_model_file(scratch / "x");
  EXPECT_EQ(back.sha256, written.sha256);
  EXPECT_EQ(verify_model_file(scratch / "x"), written.sha256);
  expect_equal(back.tensors, file.tensors);
  std::string bytes = read_file(scratch / "x", ExitCode::model);
  bytes[bytes.size() / 2] ^= 4;
  replace_file(scratch / "rotten", bytes);
  expect_refused(scratch / "rotten", "SHA-256");
  const std::string about = "\"bitstill\":\"{";
  bytes[bytes.find(about) + about.size() - 1] = 'x';  // cannot be read either, which says less
  replace_file(scratch / "unreadable", bytes);
  expect_refused(scratch / "unreadable", "SHA-256");
  replace_file(scratch / "short", bytes.substr(0, 5000000));
  expect_refused(scratch / "short", "is truncated");
}

/// Tensors of many sizes, which are hashed from their memory, and packed ones, from the file.
TEST(ModelFile, NoPartOfALargeOneIsLeftOut) {
  const ScratchFolder scratch;
  ModelFile plain, packed;
  plain.about = {{"kind", "weights"}};
  packed.about = {{"kind", "student"}};
  for (const int64_t size : {0, 3, 700001, 1, 1 << 18, 13, 300007}) {
    plain.tensors.emplace_back("t" + std::to_string(plain.tensors.size()),
                               random_tensor({size}, static_cast<uint64_t>(size)));
  }
  packed.quantized = {{"q", random_quantized({4100, 1100}, 256, 256, false, 2)}};
  packed.tensors = {{"bias", random_tensor({300007}, 3)}};
  for (const ModelFile* file : {&plain, &packed}) {
    const SealedFile written = write_model_file(scratch / "x", *file);
    ASSERT_GT(written.bytes, uint64_t{4} << 20);
    const ModelFile back = read_model_file(scratch / "x");
    EXPECT_EQ(back.sha256, written.sha256);
    expect_equal(back.tensors, file->tensors);
    const std::string bytes = read_file(scratch / "x", ExitCode::model);
    const std::size_t data = bytes.size() - back.sizes.file + back.sizes.header;
    std::vector<std::size_t> places = {100, data, bytes.size() - 1};
    for (std::size_t at = data; at < bytes.size(); at += 397003) places.push_back(at);
    for (const std::size_t at : places) {
      std::string rotten = bytes;
      rotten[at] ^= 1;
      replace_file(scratch / "rotten", rotten);
      expect_refused(scratch / "rotten", "SHA-256");
    }
  }
}

TEST(ModelFileDeathTest, IsBelievedWhereThatWasAskedFor) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a new process: it stays so until its end
  const ScratchFolder scratch;
  const auto believe = [&] {
    ModelFile file;
    file.about = {{"kind", "weights"}};
    for (const int64_t size : {10, 1200000}) {
      file.tensors = {{"a", random_tensor({size}, 1)}};
      const SealedFile written = write_model_file(scratch / "x", file);
      if (read_model_file(scratch / "x").sha256 != written.sha256) std::_Exit(1);
      std::string bytes = read_file(scratch / "x", ExitCode::model);
      bytes.back() ^= 1;
      replace_file(scratch / "rotten", bytes);
      if (error_of(scratch / "rotten").empty()) std::_Exit(2);
    }
    believe_model_files();
    const ModelFile rotten = read_model_file(scratch / "rotten");
    const bool alike = at::equal(rotten.tensors[0].second, file.tensors[0].second);
    const bool seals = !rotten.sha256.empty() || !verify_model_file(scratch / "rotten").empty();
    std::_Exit(alike || seals || verifies_model_files() ? 3 : 0);
  };
  EXPECT_EXIT(believe(), testing::ExitedWithCode(0), "");
}

TEST(ModelFileDeathTest, OfAnEarlierVersionIsReadAndSaidOnce) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a new process: nothing was said yet
  const ScratchFolder scratch;
  const auto read_twice = [&] {
    ModelFile file;
    file.about = {{"kind", "weights"}};
    file.tensors = {{"a", random_tensor({3}, 1)}};
    write_model_file(scratch / "x", file);
    std::string bytes = read_file(scratch / "x", ExitCode::model);
    bytes.replace(bytes.find(kSealName), kSealName.size(), std::string(kSealName.size(), 'x'));
    replace_file(scratch / "unsealed", bytes);
    for (int i = 0; i < 2; ++i) {
      const ModelFile back = read_model_file(scratch / "unsealed");
      if (!back.sha256.empty() || !at::equal(back.tensors[0].second, file.tensors[0].second)) {
        std::_Exit(1);
      }
    }
    std::_Exit(0);
  };
  EXPECT_EXIT(read_twice(), testing::ExitedWithCode(0),
              "^warning: .*/unsealed: an earlier version wrote it, without the SHA-256 by which "
              "damage is found\n$");
}

TEST(ModelFile, VocabulariesGoBesideTheWeights) {
  const ScratchFolder scratch;
  ModelFile file = small_student();
  const at::Tensor words = random_tensor({40}, 3).to(at::kByte);
  file.attached = {{"vocabulary.source", words}};
  write_model_file(scratch / "x", file);
  const ModelFile back = read_model_file(scratch / "x");
  expect_equal(back.attached, file.attached);
  expect_equal(back.tensors, file.tensors);
  file.attached = {{"words", words}};
  write_model_file(scratch / "x", file);
  expect_refused(scratch / "x", "words is of type U8");
  EXPECT_FALSE(attaches("vocabulary.source", Dtype::f32));
}

TEST(ModelFile, TypesThatAreNotStoredAreNamed) {
  const ScratchFolder scratch;
  const ModelFile file{nullptr, {{"z", random_tensor({3}, 1).to(at::kComplexFloat)}}, {}};
  try {
    write_model_file(scratch / "x", file);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::model));
    EXPECT_EQ(error.what(),
              scratch / "x" + ": tensor z: tensors of type ComplexFloat cannot be stored");
  }
  EXPECT_FALSE(std::filesystem::exists(scratch / "x"));
}

TEST(ModelFile, KnowsWhetherAQuantizerMadeItsValues) {
  EXPECT_TRUE(holds_quantized_values(small_student()));
  const auto says = [](const Json& about) { return holds_quantized_values({about, {}, {}}); };
  const Json quantizer = {{"kind", "uniform"}};
  EXPECT_TRUE(says({{"kind", "student"}, {"quantizer", quantizer}}));
  EXPECT_TRUE(says({{"kind", "decoded"}, {"quantizer", quantizer}}));
  EXPECT_FALSE(says({{"kind", "checkpoint"}, {"quantizer", quantizer}}));  // its masters
  EXPECT_FALSE(says({{"quantizer", quantizer}}));
  EXPECT_FALSE(says({{"kind", "student"}, {"quantizer", nullptr}}));
  EXPECT_FALSE(says({{"kind", "student"}}));
  EXPECT_FALSE(says(nullptr));
}

}  // namespace
}  // namespace bitstill
