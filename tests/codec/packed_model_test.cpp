#include "bitstill/codec/packed_model.hpp"

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <limits>

#include "../../src/codec/packed_layout.hpp"
#include "../base/python_with_numpy.hpp"
#include "../base/scratch_folder.hpp"
#include "coded_models.hpp"
#include "counted_memory.hpp"

namespace bitstill {
namespace {

TestModel small_model() {
  RandomStream random(5, StreamPurpose::order);
  TestModel model;
  model.about = {{"kind", "student"}, {"classes", {"a", "b"}}};
  model.coded = {random_coded(random, "conv.weight", {3, 1, 5, 5}, 4, 0),
                 random_coded(random, "fc.weight", {10, 40}, 13, 0)};
  for (auto& code : model.coded[1].codes) code = code % 3 == 0 ? 12 : 6;
  model.plain["fc.bias"] = {Dtype::f32, {3}, std::string(12, 'b')};
  model.plain["steps"] = {Dtype::i64, {}, std::string(8, 's')};
  return model;
}

/// The one line of the Error(model) that reading throws; empty when it throws none.
std::string error_of(const std::string& bytes) {
  try {
    from_bytes(bytes);
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::model)) << error.what();
    const std::string text = error.what();
    EXPECT_EQ(text.find("m: "), 0u) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  return "";
}

/// The same file with its description edited as text; the new one has as many bytes or fewer.
std::string edited(std::string bytes, const std::string& from, const std::string& to) {
  const auto at = bytes.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  bytes.replace(at, from.size(), to);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  length += to.size() - from.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes;
}

void expect_refused(const std::string& bytes, const std::string& part) {
  const std::string text = error_of(bytes);
  EXPECT_NE(text.find(part), std::string::npos) << "'" << text << "' lacks '" << part << "'";
}

TEST(PackedModel, RoundTripsTenThousandRandomModels) {
  for (uint64_t seed = 0; seed < 10000; ++seed) {
    const TestModel model = random_model(seed, seed % 100 == 0 ? 20000 : 200);
    const TestModel back = from_bytes(to_bytes(model));
    expect_equal(back, model);
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    ASSERT_EQ(back.about["seed"], seed);
  }
}

TEST(PackedModel, TakesSmallTensorsOfAnySize) {
  RandomStream random(8, StreamPurpose::order);
  for (int64_t size = 0; size <= 33; ++size) {
    for (const std::size_t points : {1, 2, 3, 4, 5, 7, 16, 17, 255, 256}) {
      TestModel model;
      model.coded = {random_coded(random, "w", {size}, points, 0),
                     random_coded(random, "v", {1, size}, points, 0)};
      expect_equal(from_bytes(to_bytes(model)), model);
    }
  }
  expect_equal(from_bytes(to_bytes({})), {});
}

TEST(PackedModel, StoresNoMoreThanItMust) {
  RandomStream random(1, StreamPurpose::order);
  CodedTensor tensor = random_coded(random, "w", {100, 100}, 16, 0);
  tensor.bucket = 10000;
  tensor.alpha = {0.1F};
  tensor.beta = {0.0F};
  for (std::size_t j = 0; j < 16; ++j) tensor.points[j] = static_cast<float>(j) - 8;
  const auto size_with = [&](float alpha, float beta) {
    TestModel model;
    tensor.alpha = {alpha};
    tensor.beta = {beta};
    model.coded = {tensor};
    const std::string bytes = to_bytes(model);
    expect_equal(from_bytes(bytes), model);
    EXPECT_EQ(bytes.find("\"points\":{\"dtype"), std::string::npos) << "integers are not stored";
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    return bytes.size() - header;
  };
  EXPECT_EQ(size_with(0.1F, 0.1F) - size_with(0.1F, 0.0F), 4u) << "no beta";
  EXPECT_EQ(size_with(0.1F, 0.0F) - size_with(0.5F, 0.0F), 2u) << "16 bits where they are exact";
  EXPECT_EQ(size_with(0.1F, 0.0F) - size_with(0x1p40F, 0.0F), 2u) << "and where bf16 is";
  EXPECT_EQ(size_with(0.1F, -0.0F) - size_with(0.1F, 0.0F), 4u) << "-0 is not 0";
}

TEST(PackedModel, FallsBackToFixedWidth) {
  RandomStream random(2, StreamPurpose::order);
  TestModel model;
  model.coded = {random_coded(random, "w", {4096}, 4, 0)};
  for (auto& code : model.coded[0].codes) code = static_cast<uint8_t>(random.below(4));
  const std::string even = to_bytes(model);
  EXPECT_NE(even.find("fixed"), std::string::npos);
  model.coded[0].codes.assign(4096, 1);
  const std::string constant = to_bytes(model);
  EXPECT_NE(constant.find("rans"), std::string::npos);
  EXPECT_LT(constant.size() + 900, even.size());
  model.coded[0] = random_coded(random, "w", {3000000}, 4, 0);
  model.coded[0].codes.assign(3000000, 1);  // a few bytes of stream: more than a reader believes
  expect_equal(from_bytes(to_bytes(model)), model);
}

TEST(PackedModel, NamesOtherVersionsAndForeignFiles) {
  const std::string good = to_bytes(small_model());
  EXPECT_EQ(error_of(good), "");
  expect_refused(edited(good, "format\\\":2", "format\\\":3"),
                 "is of format 3 and this bitstill reads format 2; use a newer bitstill");
  expect_refused(edited(good, "\\\"packed", "\\\"quantized"), "packed by an older bitstill");
  expect_refused(edited(good, "format\\\":2", "format\\\":-2"), "no format number");
  expect_refused("PK\x03\x04 and so on", "PyTorch pickle");
  for (std::size_t size = 0; size < good.size(); ++size) {
    ASSERT_NE(error_of(good.substr(0, size)), "") << size;
  }
}

TEST(PackedModel, ChecksWhatItsDescriptionSays) {
  const std::string good = to_bytes(small_model());
  const auto with = [&](const std::string& from, const std::string& to, const std::string& part) {
    expect_refused(edited(good, from, to), part);
  };
  with("[3,1,5,5]", "[3,1,5,6]", "coded stream");
  with("[10,40]", "[10,41]", "should be");
  with("[10,40]", "[281474976710656,40]", "impossible shape");
  with("[10,40]", "[281474976710656]", "more values than any file");
  with("[10,40]", "[-4]", "not a number");
  with("[10,40]", "40", "not a name and a shape");
  with("\\\"s\\\":13", "\\\"s\\\":0", "from 1 to 256");
  with("\\\"s\\\":13", "\\\"s\\\":257", "from 1 to 256");
  with("\\\"coding\\\":\\\"rans", "\\\"coding\\\":\\\"zstd", "does not know");
  with("\\\"lanes\\\":4", "\\\"lanes\\\":0", "from 1 to 64");
  with("\\\"lanes\\\":4", "\\\"lanes\\\":5", "coded stream");
  with("\\\"beta\\\":", "\\\"gama\\\":", "lacks \"beta\"");
  with("fc.bias\\\",[3]", "fc.bias\\\",[4]", "values should be 4");
  with("fc.bias", "fc.weight", "twice");
  with("[10,40]", "[281474976710656,281474976710656]", "impossible shape");
  std::string dimensions = "1";
  for (int i = 1; i < 33; ++i) dimensions += ",1";
  with("[10,40]", "[" + dimensions + "]", "not a name and a shape");
  with("[\\\"fc.weight\\\",[10,40]]", "5", "not a name and a shape");
  with("[\\\"fc.weight\\\",[10,40]]", "[\\\"fc.weight\\\",[10],40]", "not a name and a shape");
  with("[\\\"fc.weight\\\",[10,40]]", "[7,[10,40]]", "not a name and a shape");
  with("\\\"tensors\\\":[", "\\\"tensors\\\":{},\\\"rest\\\":[", "does not list its tensors");
  with("\\\"groups\\\":[", "\\\"groups\\\":{},\\\"rest\\\":[", "does not list its groups");
  with("\\\"groups\\\":[", "\\\"groups\\\":[5,", "lacks \"points\"");
  with("\\\"packed\\\":{", "\\\"packed\\\":[],\\\"rest\\\":{", "lacks \"groups\"");
  with("\\\"coding\\\":\\\"rans\\\"", "\\\"coding\\\":5", "does not know");
  with("\\\"beta\\\":true", "\\\"beta\\\":1", "not true or false");
  with("\\\"kind\\\":\\\"student\\\"", "\\\"kind\\\":5", "its kind is not a word");
}

TEST(PackedModel, PointsThatNoFormHasAreRefused) {
  TestModel model;
  CodedTensor tensor{"w", {30}, 30, 30, {}, {0.5F}, {0.0F}, std::vector<uint8_t>(30, 1), 0, 0};
  for (int j = -2; j <= 2; ++j) tensor.points.push_back(static_cast<float>(j) / 2);
  model.coded = {tensor};
  const std::string good = to_bytes(model);
  EXPECT_NE(good.find("\\\"points\\\":\\\"signed"), std::string::npos) << good;
  for (const char* points : {"1", "2", "4"}) {
    expect_refused(edited(good, "\\\"s\\\":5", concat("\\\"s\\\":", points)),
                   "points of a form that has none of so many");
  }
}

TEST(PackedModel, WhatIsNoTensorIsNotWritten) {
  RandomStream random(4, StreamPurpose::order);
  TestModel model;
  const CodedTensor good = random_coded(random, "w", {10, 4}, 5, 0);
  const auto refused = [&](const auto& spoil) {
    model.coded = {good};
    spoil(model.coded[0]);
    std::string text;
    try {
      to_bytes(model);
    } catch (const Error& error) {
      text = error.what();
    }
    return text;
  };
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "'" << text << "' lacks '" << part << "'";
  };
  EXPECT_EQ(refused([](CodedTensor&) {}), "");
  has(refused([](auto& t) { t.count = -1; }), "its shape does not have -1 elements");
  has(refused([](auto& t) { t.shape = {-4, -10}; }), "its shape does not have 40 elements");
  has(refused([](auto& t) { t.bucket = 0; }), "its buckets are empty");
  has(refused([](auto& t) { t.alpha.push_back(1); }), "scales and has");
  has(refused([](auto& t) { t.beta.pop_back(); }), "scales and has");
  has(refused([](auto& t) { t.points[2] = std::numeric_limits<float>::infinity(); }), "not finite");
}

/// A plain file by hand.
std::string plain_file(const std::string& metadata) {
  const std::string front = "{\"__metadata__\":{" + metadata +
                            R"(},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const uint64_t length = front.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + front + "abcd";
}

TEST(PackedModel, AnotherProgramsFileMaySayWhatItsInputIs) {
  const std::string input = R"("bitstill_input":"{\"classes\":[\"a\"]}")";
  const std::string bytes = plain_file(input);
  const ByteSource source{bytes.size(), [&](uint64_t offset, void* to, std::size_t count) {
                            std::memcpy(to, bytes.data() + offset, count);
                          }};
  float value = 0;
  const PackedModel model = read_packed_model(
      source, "m", [&](const auto&, Dtype, const auto&) { return static_cast<void*>(&value); });
  EXPECT_TRUE(model.about.is_null());
  EXPECT_EQ(model.input["classes"][0], "a");
  EXPECT_EQ(std::memcmp(&value, "abcd", 4), 0);
  expect_refused(plain_file(input + R"(,"bitstill":"{\"format\":2}")"),
                 "describes its input twice");
  expect_refused(plain_file(R"("bitstill_input":"{")"), "its bitstill_input");
  expect_refused(plain_file("\"bitstill_input\":\"" + std::string(1100000, ' ') + "\""),
                 "its bitstill_input is above 1 MiB");
}

TEST(PackedModel, DoesNotBelieveHugeCounts) {
  expect_refused(edited(to_bytes(small_model()), "[10,40]", "[10,40000000000]"), "bytes of codes");
}

/// Up to four bytes changed, put in or left out, in the header or behind it. Half of the headers
/// keep a true length, so that what follows is read.
std::string mutant(std::string bytes, RandomStream& random) {
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  const bool behind = random.below(2) == 0 && bytes.size() > header + 8;
  const std::size_t low = behind ? header + 8 : random.below(4) == 0 ? 0 : 8;
  const std::size_t high = behind ? bytes.size() : header + 8;
  const std::size_t before = bytes.size();
  for (uint64_t edits = 1 + random.below(4); edits > 0; --edits) {
    const std::size_t at = low + random.below(std::min(high, bytes.size()) - low);
    const auto byte = static_cast<char>(random.next());
    const bool digit = bytes[at] >= '0' && bytes[at] <= '9';
    switch (random.below(6)) {
      case 0:
        bytes.erase(at, 1 + random.below(3));
        break;
      case 1:
        bytes.insert(at, 1, digit ? bytes[at] : byte);
        break;
      default:
        bytes[at] = digit ? static_cast<char>('0' + random.below(10)) : byte;
    }
  }
  if (low == 8 && random.below(2) == 0) {
    header += bytes.size() - before;
    std::memcpy(bytes.data(), &header, 8);
  }
  return bytes;
}

/// Bytes of memory that a file's header declares: its entries, and what its packed tensors are when
/// read (a byte a code, alpha and beta as fp32, points). As much of it as a reader may believe.
uint64_t declared_bytes(const std::string& bytes) {
  uint64_t declared = 0, codes = 0, scales = 0;
  try {
    const auto header = parse_safetensors_header(bytes, bytes.size(), "m");
    for (const auto& entry : header.entries) {
      declared += entry.bytes;
      if (entry.name == "codes") codes = entry.bytes;
      if (entry.name.starts_with("scales.")) scales += entry.bytes;
    }
    const Json about = parse_json(header.metadata.at("bitstill"), "m", ExitCode::model);
    const Layout layout = layout_from_json(about.at("packed"), "m");
    uint64_t count = 0, buckets = 0;
    for (const Group& group : layout.groups) {
      declared += 4 * group.members.size() * group.kind.points;
      count += count_of(group.members);
      for (const Member& one : group.members) buckets += buckets_of(group.kind, one);
    }
    declared += std::min(count, kMostCodesPerByte * codes) + 8 * std::min(buckets, scales / 2);
  } catch (const std::exception&) {  // refused here: nothing further is declared
  }
  return declared;
}

double processor_seconds() {
  struct timespec time {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

constexpr uint64_t kMostMemory = 64 << 20;  // above what is declared
#ifdef __SANITIZE_ADDRESS__
constexpr double kMostSeconds = 10;  // each access is checked, which takes four times as long
#else
constexpr double kMostSeconds = 1;
#endif

/// error_of() within R9's bounds: memory that the file declares and 64 MiB, one second of the
/// processor.
std::string error_within_bounds(const std::string& bytes, uint64_t most_memory = kMostMemory) {
  const uint64_t declared = declared_bytes(bytes);
  const double start = processor_seconds();
  const PeakMemory memory;
  const std::string error = error_of(bytes);
  EXPECT_LE(memory.bytes(), declared + most_memory) << declared << " bytes declared; " << error;
  EXPECT_LE(processor_seconds() - start, kMostSeconds) << error;
  return error;
}

/// A file that declares far more than it holds: 3,000,000 equal codes take 12 kB.
TestModel wide_model() {
  RandomStream random(6, StreamPurpose::order);
  TestModel model = small_model();
  model.coded.push_back(random_coded(random, "wide", {3000, 1000}, 4, 0));
  model.coded.back().codes.assign(3000000, 1);
  return model;
}

/// 5,000 mutants: each is read whole or refused with one line.
TEST(PackedModel, SurvivesFiveThousandMutants) {
  RandomStream random(3, StreamPurpose::order);
  const std::string small = to_bytes(small_model()), wide = to_bytes(wide_model());
  int refused = 0;
  for (int round = 0; round < 5000; ++round) {
    const std::string bytes = mutant(round % 100 == 1 ? wide
                                     : round % 3 == 0 ? small
                                                      : to_bytes(random_model(round % 50U, 300)),
                                     random);
    if (error_within_bounds(bytes).empty()) {
      const TestModel back = from_bytes(bytes);  // then it can be written again, unchanged
      expect_equal(from_bytes(to_bytes(back)), back);
    } else {
      ++refused;
    }
    ASSERT_FALSE(testing::Test::HasFailure()) << "round " << round;
  }
  EXPECT_GT(refused, 2000);
}

/// Codes go into their tensors piece by piece: no second copy of 32 MB, whatever their coding.
TEST(PackedModel, ReadsLargeTensorsInTheMemoryTheyDeclare) {
  RandomStream random(9, StreamPurpose::order);
  for (const std::size_t points : {4, 17}) {
    for (const bool even : {false, true}) {
      TestModel model;
      model.coded = {random_coded(random, "a", {3200, 5000}, points, 0),
                     random_coded(random, "b", {3201, 5000}, points, 0)};
      for (auto& tensor : model.coded) {
        tensor.bucket = tensor.count;
        tensor.alpha.resize(1);
        tensor.beta.resize(1);
        for (auto& code : tensor.codes) {
          code = static_cast<uint8_t>(even ? random.below(points) : random.below(16) / 15);
        }
      }
      EXPECT_EQ(error_within_bounds(to_bytes(model), 8 << 20), "");
    }
  }
}

/// As many tensors as a description may name, and a description that is longer.
TEST(PackedModel, ReadsLongDescriptionsInLittleMemory) {
  TestModel model;
  for (int i = 0; i < 90000; ++i) {
    model.coded.push_back({concat(i), {1}, 1, 1, {0, 1}, {1}, {0}, {1}, 0, 0});
    if (i == 60000) {
      EXPECT_EQ(error_within_bounds(to_bytes(model)), "");
    }
  }
  EXPECT_THROW(to_bytes(model), Error);
  const std::string longer = concat("{\\\"x\\\":[0", std::string(2 << 20, ' '), "],\\\"format");
  EXPECT_NE(error_within_bounds(edited(to_bytes(small_model()), "{\\\"format", longer))
                .find("its description is above 1 MiB"),
            std::string::npos);
}

/// fp32 by the decode formula, from the definition.
std::string decoded(const CodedTensor& tensor) {
  std::string bytes;
  for (std::size_t i = 0; i < tensor.codes.size(); ++i) {
    const std::size_t b = i / static_cast<std::size_t>(tensor.bucket);
    const float product = tensor.points[tensor.codes[i]] * tensor.alpha[b];
    const float value = product + tensor.beta[b];
    bytes.append(reinterpret_cast<const char*>(&value), 4);
  }
  return bytes;
}

TEST(PackedModel, AnIndependentDecoderGetsEqualBitsOfTwoHundredFiles) {
  const std::string python = python_with_numpy();
  if (python.empty()) GTEST_SKIP() << "no Python with numpy";
  const ScratchFolder scratch;
  std::string command = concat(python, " ", std::filesystem::path(__FILE__).parent_path().string(),
                               "/../store/decode_student.py");
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const TestModel model = random_model(seed, seed % 10 == 0 ? 200000 : 2000);
    TestModel plain;
    plain.plain = model.plain;
    for (const auto& tensor : model.coded) {
      plain.plain[tensor.name] = {Dtype::f32, tensor.shape, decoded(tensor)};
    }
    const std::string packed = scratch / concat(seed, ".p"),
                      expected = scratch / concat(seed, ".e");
    std::ofstream(packed, std::ios::binary) << to_bytes(model);
    std::ofstream(expected, std::ios::binary) << to_bytes(plain);
    command += concat(" ", packed, " ", expected);
  }
  const int status = std::system((command + " > " + scratch / "out 2>&1").c_str());
  const std::string out = read_file(scratch / "out", ExitCode::data);
  EXPECT_EQ(status, 0) << out;
  EXPECT_NE(out.find("200 files decode to equal bits"), std::string::npos) << out;
}

}  // namespace
}  // namespace bitstill
