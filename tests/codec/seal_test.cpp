#include "bitstill/codec/seal.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "../base/thrown_error.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/codec/manifest.hpp"
#include "bitstill/codec/packed_model.hpp"
#include "coded_models.hpp"

namespace bitstill {
namespace {

ByteSource source_of(const std::string& bytes) {
  return {bytes.size(), [&bytes](uint64_t offset, void* to, std::size_t count) {
            std::memcpy(to, bytes.data() + offset, count);
          }};
}

/// All that a reader gets of a file.
struct Read {
  std::string about;
  std::map<std::string, std::string> plain;
  std::vector<uint8_t> codes;
  std::vector<float> scales;
  bool operator==(const Read&) const = default;
};

Read read(const std::string& bytes) {
  Read read;
  std::map<std::string, std::string> plain;
  const PackedModel model = read_packed_model(
      source_of(bytes), "x",
      [&](const std::string& name, Dtype dtype, const std::vector<int64_t>& shape) -> void* {
        int64_t count = dtype_bytes(dtype);
        for (const int64_t side : shape) count *= side;
        return (plain[name] = std::string(static_cast<std::size_t>(count), '\0')).data();
      });
  read.about = model.about.dump();
  read.plain = plain;
  for (const CodedTensor& one : model.coded) {
    read.codes.insert(read.codes.end(), one.codes.begin(), one.codes.end());
    read.scales.insert(read.scales.end(), one.alpha.begin(), one.alpha.end());
  }
  return read;
}

std::string small_model(std::string* seal) {
  const std::vector<float> bias = {1, -2, 0.5};
  CodedTensor coded;
  coded.name = "0.weight";
  coded.shape = {3, 4};
  coded.count = coded.bucket = 12;
  coded.points = {0, 0.4f, 0.6f, 1};
  coded.alpha = {2};
  coded.beta = {-1};
  coded.codes = {0, 1, 2, 3, 3, 2, 1, 0, 0, 0, 3, 3};
  StringSink sink;
  const SealedFile written = write_packed_model(
      "x", {{"kind", "student"}}, {{"0.bias", Dtype::f32, {3}, bias.data()}}, {coded}, sink);
  EXPECT_EQ(written.bytes, sink.bytes.size());
  *seal = written.sha256;
  return sink.bytes;
}

TEST(Seal, IsTheHashOfTheFileWithoutIt) {
  std::string seal;
  std::string bytes = small_model(&seal);
  EXPECT_EQ(verify_packed_model(source_of(bytes), "x"), seal);
  const std::size_t place = bytes.find(seal);
  ASSERT_NE(place, std::string::npos);
  EXPECT_EQ(find_seal(bytes), place);
  bytes.replace(place, seal.size(), kNoSeal);
  EXPECT_EQ(sha256_hex(bytes), seal);
}

TEST(Seal, OfALargeFileIsTheSame) {
  const std::vector<uint8_t> large(5'000'001, 7);
  StringSink sink;
  const SealedFile written = write_packed_model(
      "x", {{"kind", "weights"}},
      {{"a", Dtype::u8, {static_cast<int64_t>(large.size())}, large.data()}}, {}, sink);
  EXPECT_EQ(written.bytes, sink.bytes.size());
  EXPECT_EQ(verify_packed_model(source_of(sink.bytes), "x"), written.sha256);
}

TEST(Seal, NoFlippedBitGivesOtherWeights) {
  std::string seal;
  std::string bytes = small_model(&seal);
  const Read whole = read(bytes);
  int refused = 0;
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    const auto flip = [&] { bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8)); };
    flip();
    try {
      verify_packed_model(source_of(bytes), "x");
      EXPECT_EQ(read(bytes), whole) << bit;  // the field's own name: it carries none then
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::model) << error.what();
      ++refused;
    }
    flip();
  }
  EXPECT_GE(refused, static_cast<int>(8 * (bytes.size() - kSealName.size())));
}

TEST(Seal, AFileWithoutOneHasNone) {
  const std::string front = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
  const uint64_t length = front.size();
  const std::string bytes = std::string(reinterpret_cast<const char*>(&length), 8) + front + "ab";
  EXPECT_EQ(verify_packed_model(source_of(bytes), "x"), "");
}

TEST(Seal, AFieldThatIsWrittenOtherwiseIsRefused) {
  std::string seal;
  std::string bytes = small_model(&seal);
  const std::size_t place = bytes.find(seal);
  bytes.insert(place - 1, " ");  // "name": "digits", as other programs write
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  ++length;
  std::memcpy(bytes.data(), &length, 8);
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { verify_packed_model(source_of(bytes), "x"); }),
               "SHA-256");
}

Manifest some_manifest() {
  Manifest manifest;
  manifest.step = 120;
  manifest.epoch = 3;
  manifest.world = 4;
  manifest.parts = {{1000, std::string(64, 'a')}, {2000, std::string(64, 'b')}};
  manifest.best_step = 100;
  manifest.best = SealedFile{30, std::string(64, 'c')};
  return manifest;
}

TEST(Manifest, GoesAndComesBack) {
  const std::string text = manifest_text(some_manifest());
  const Manifest back = parse_manifest(text, "m");
  EXPECT_EQ(back.step, 120);
  EXPECT_EQ(back.epoch, 3);
  EXPECT_EQ(back.world, 4);
  ASSERT_EQ(back.parts.size(), 2u);
  EXPECT_EQ(back.parts[1].bytes, 2000u);
  EXPECT_EQ(back.parts[1].sha256, std::string(64, 'b'));
  EXPECT_EQ(back.best_step, 100);
  EXPECT_EQ(back.best.value().bytes, 30u);
  EXPECT_EQ(manifest_text(back), text);
  Manifest without = some_manifest();
  without.best.reset();
  EXPECT_FALSE(parse_manifest(manifest_text(without), "m").best);
}

TEST(Manifest, NoFlippedBitPasses) {
  std::string text = manifest_text(some_manifest());
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    const auto flip = [&] { text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << bit % 8)); };
    flip();
    error_of(ExitCode::model, [&] { parse_manifest(text, "m"); });
    flip();
  }
  for (std::size_t length = 0; length < text.size(); ++length) {
    error_of(ExitCode::model, [&] { parse_manifest(text.substr(0, length), "m"); });
  }
}

TEST(Manifest, RefusesWhatIsNone) {
  for (
      const char* rest :
      {"", R"("format":1)", R"("format":2,"step":1,"epoch":0,"world":1,"best_step":0,"parts":[]})",
       R"("format":1,"step":-1,"epoch":0,"world":1,"best_step":0,"parts":[{"bytes":1,"sha256":"a"}])",
       R"("format":1,"step":1,"epoch":0,"world":1,"best_step":0,"parts":[])",
       R"("format":1,"step":1,"epoch":0,"world":1,"best_step":0,"parts":[{"bytes":"1","sha256":"a"}])",
       R"("format":1,"step":1.5,"epoch":0,"world":1,"best_step":0,"parts":[{"bytes":1,"sha256":"a"}])",
       R"("format":1,"step":1,"epoch":0,"world":1,"best_step":0,"parts":[{"bytes":1,"sha256":2}])"}) {
    const std::string text = sealed(std::string("{\"") + kSealName + "\":\"" + kNoSeal + "\"" +
                                    (*rest ? "," : "") + rest + "}") +
                             "\n";
    error_of(ExitCode::model, [&] { parse_manifest(text, "m"); });
  }
}

}  // namespace
}  // namespace bitstill
