#include "bitstill/codec/safetensors.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "bitstill/base/error.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

/// A file with this header text and `data` bytes of tensors.
std::string file_with(const std::string& json, std::size_t data) {
  const uint64_t length = json.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + json + std::string(data, 'd');
}

SafetensorsHeader parse(const std::string& file) {
  return parse_safetensors_header(file, file.size(), "m.safetensors");
}

/// The one line of the Error(model) that parsing throws; empty when it throws none.
std::string error_of(const std::string& file) {
  try {
    parse(file);
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::model));
    const std::string text = error.what();
    EXPECT_EQ(text.find("m.safetensors: "), 0u) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  return "";
}

void expect_refused(const std::string& file, const std::string& part) {
  const std::string text = error_of(file);
  EXPECT_NE(text.find(part), std::string::npos) << "'" << text << "' lacks '" << part << "'";
}

std::string small_file() {
  SafetensorsHeader header;
  header.metadata = {{"bitstill", "{\"format\":1}"}, {"note", "ä \"quoted\""}};
  header.entries = {{"a.codes", Dtype::u8, {5}, 0, 0},
                    {"a.scales", Dtype::f32, {1, 2}, 0, 0},
                    {"empty", Dtype::f16, {0, 7}, 0, 0},
                    {"scalar", Dtype::i64, {}, 0, 0}};
  const std::string front = build_safetensors_header(header);
  return front + std::string(5 + 8 + 0 + 8, 'd');
}

TEST(Safetensors, RoundTrips) {
  const std::string file = small_file();
  const auto header = parse(file);
  EXPECT_EQ(header.data_start % 8, 0u);
  EXPECT_EQ(header.data_start, file.size() - 21);
  EXPECT_EQ(header.metadata.at("note"), "ä \"quoted\"");
  ASSERT_EQ(header.entries.size(), 4u);
  EXPECT_EQ(header.entries[1].name, "a.scales");
  EXPECT_EQ(header.entries[1].dtype, Dtype::f32);
  EXPECT_EQ(header.entries[1].shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(header.entries[1].offset, 5u);
  EXPECT_EQ(header.entries[1].bytes, 8u);
  EXPECT_EQ(header.entries[2].bytes, 0u);
  EXPECT_EQ(header.entries[3].shape.size(), 0u);
  EXPECT_EQ(header.entries[3].offset, 13u);
}

TEST(Safetensors, TakesAnEmptyFileOfNoTensorsAndEveryType) {
  EXPECT_EQ(parse(file_with("{}", 0)).entries.size(), 0u);
  const int bytes[] = {8, 4, 2, 2, 8, 4, 2, 1, 1, 1};
  for (int i = 0; i < 10; ++i) {
    SafetensorsHeader header;
    header.entries = {{"x", static_cast<Dtype>(i), {3}, 0, 0}};
    std::string file = build_safetensors_header(header);
    file.append(static_cast<std::size_t>(3 * bytes[i]), 'd');
    EXPECT_EQ(parse(file).entries[0].dtype, static_cast<Dtype>(i));
  }
}

TEST(Safetensors, SortsByPlaceInTheFile) {
  const auto header =
      parse(file_with(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]},)"
                      R"("none":{"shape":[0],"data_offsets":[3,3],"dtype":"F32"},)"
                      R"("a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}}   )",
                      5));
  ASSERT_EQ(header.entries.size(), 3u);
  EXPECT_EQ(header.entries[0].name, "a");
  EXPECT_EQ(header.entries[1].name, "none");
  EXPECT_EQ(header.entries[2].name, "b");
}

TEST(Safetensors, NamesForeignFiles) {
  expect_refused("", "is empty");
  expect_refused(std::string("PK\x03\x04\x00\x00\x08\x08\x00\x00zz", 12), "PyTorch pickle (zip)");
  expect_refused("\x80\x02\x8A\x0Al\xFC\x9C\x46\xF9 ", "pickle");
  expect_refused("\x89HDF\r\n\x1A\n\x02\x08", "HDF5");
  expect_refused("<!DOCTYPE html><html>", "HTML");
  expect_refused("version https://git-lfs.github.com/spec/v1", "Git LFS pointer");
  expect_refused("hello", "not a safetensors file");
  expect_refused(std::string(100, '\0'), "not a safetensors file");
  expect_refused(std::string(100, '\0'), "launch/export_pytorch.py");
}

TEST(Safetensors, BoundsTheHeader) {
  const std::string good = file_with("{}", 0);
  std::string longer = good;
  longer[0] = 3;
  expect_refused(longer, "is truncated: its header takes 3 bytes");
  std::string huge = good;
  huge[3] = 6;  // 100,663,298 bytes: above 100 MB even if the file were that large
  EXPECT_THROW(safetensors_header_bytes(huge, uint64_t{1} << 40, "x"), Error);
  std::string overflow = good;
  std::memset(overflow.data(), 0xFF, 8);
  expect_refused(overflow, "not a safetensors file");
  EXPECT_THROW(parse_safetensors_header(small_file().substr(0, 40), 400, "x"), Error);
}

TEST(Safetensors, ChecksTheJson) {
  const std::string x = R"("x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
  EXPECT_EQ(error_of(file_with("{" + x + "}", 2)), "");
  expect_refused(file_with("{" + x, 2), "not valid JSON");
  expect_refused(file_with("{" + x + "}}", 2), "not valid JSON");
  expect_refused(file_with("{" + x + "}" + std::string(1, '\0') + "!", 2), "NUL");
  expect_refused(file_with("{" + x + "," + x + "}", 2), "names x twice");
  expect_refused(file_with("{\"\xFF\":1}", 0), "not valid JSON");
  expect_refused(file_with("{\"x\":[]}", 0), "holds an array where");
  expect_refused(file_with("{\"x\":1}", 0), "holds a number where");
  expect_refused(file_with("{\"x\":{\"shape\":{}}}", 0), "holds an object where");
  expect_refused(file_with(R"({"__metadata__":{"a":"1","a":"2"}})", 0), "__metadata__.a twice");
  expect_refused(file_with(R"({"__metadata__":{"a":1}})", 0), "holds a number where");
  expect_refused(file_with(R"({"__metadata__":{},"__metadata__":{}})", 0), "twice");
  const auto tensor = [](const std::string& fields) {
    return file_with("{\"x\":{" + fields + "}}", 2);
  };
  expect_refused(tensor(R"("dtype":"U8","dtype":"U8")"), "x.dtype twice");
  expect_refused(tensor(R"("dtype":"U8","shape":[2])"), "lacks");
  expect_refused(tensor(R"("dtype":"U8","shape":[2],"data_offsets":[0])"), "lacks");
  expect_refused(tensor(R"("dtype":"U8","shape":[2],"data_offsets":[0,2,2])"), "too many");
  expect_refused(tensor(R"("dtype":"U8","shape":[-2],"data_offsets":[0,2])"), "negative");
  expect_refused(tensor(R"("dtype":"U8","shape":[2.0],"data_offsets":[0,2])"), "fraction");
  expect_refused(tensor(R"("dtype":"U8","shape":[[2]],"data_offsets":[0,2])"), "an array");
  expect_refused(tensor(R"("dtype":"U8","shape":[2],"data_offsets":[0,2],"z":1)"), "not part");
  expect_refused(tensor(R"("dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2])"), "F8_E4M3");
  expect_refused(tensor(R"("dtype":"f32","shape":[2],"data_offsets":[0,2])"), "type f32");
}

TEST(Safetensors, ChecksShapesAndTiling) {
  const auto one = [](const std::string& dtype, const std::string& shape,
                      const std::string& offsets, std::size_t data) {
    return file_with("{\"x\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape +
                         "],\"data_offsets\":[" + offsets + "]}}",
                     data);
  };
  EXPECT_EQ(error_of(one("F32", "3", "0,12", 12)), "");
  expect_refused(one("F32", "3", "0,12", 11), "is truncated: its header declares 12");
  expect_refused(one("F32", "3", "0,12", 13), "holds 1 bytes behind");
  expect_refused(one("F32", "3", "1,13", 13), "begins at byte 1");
  expect_refused(one("F32", "3", "0,11", 11), "takes 12 bytes by its shape");
  expect_refused(one("F32", "3", "12,0", 12), "takes 12 bytes by its shape");
  expect_refused(one("U8", "4294967296,4294967296", "0,0", 0), "impossible shape");
  expect_refused(one("U8", "0,4294967296,4294967296", "0,0", 0), "impossible shape");
  expect_refused(one("F64", "2305843009213693952", "0,0", 0), "impossible shape");
  expect_refused(one("U8", "18446744073709551615", "0,0", 0), "above 2^63");
  expect_refused(one("U8", "99999999999999999999", "0,0", 0), "fraction");
  std::string dimensions = "1";
  for (int i = 1; i < 32; ++i) dimensions += ",1";
  EXPECT_EQ(error_of(one("U8", dimensions, "0,1", 1)), "");
  expect_refused(one("U8", dimensions + ",1", "0,1", 1), "too many");
  const auto two = [](const std::string& second) {
    return file_with(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                     R"("y":{"dtype":"U8","shape":[2],"data_offsets":)" +
                         second + "}}",
                     4);
  };
  EXPECT_EQ(error_of(two("[2,4]")), "");
  expect_refused(two("[1,3]"), "tensor y begins at byte 1");
  expect_refused(two("[0,2]"), "tensor y begins at byte 0");
  expect_refused(two("[3,5]"), "tensor y begins at byte 3");
}

TEST(Safetensors, BoundsWhatStrangersCanDeclare) {
  std::string many = "{";
  for (int i = 0; i <= 100000; ++i) {
    many += concat("\"", i, R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)");
  }
  many.back() = '}';
  expect_refused(file_with(many, 0), "more than 100000 tensors");
  std::string texts = "{\"__metadata__\":{";
  for (int i = 0; i <= 10000; ++i) texts += concat("\"", i, "\":\"\",");
  texts.back() = '}';
  expect_refused(file_with(texts + "}", 0), "more than 10000 texts");
  expect_refused(file_with("{" + std::string(1000000, '['), 0), "not valid JSON");
  expect_refused(file_with("{\"a\":" + std::string(1000000, '['), 0), "an array where");
}

TEST(Safetensors, BuilderRefusesBadNames) {
  const auto build = [](std::vector<SafetensorsEntry> entries) {
    SafetensorsHeader header;
    header.entries = std::move(entries);
    return build_safetensors_header(header);
  };
  EXPECT_THROW(build({{"a", Dtype::u8, {1}, 0, 0}, {"a", Dtype::u8, {1}, 0, 0}}), Error);
  EXPECT_THROW(build({{"__metadata__", Dtype::u8, {1}, 0, 0}}), Error);
  EXPECT_THROW(build({{"\xFF", Dtype::u8, {1}, 0, 0}}), Error);
  EXPECT_THROW(build({{"a", Dtype::u8, {-1}, 0, 0}}), Error);
}

bool equal(const SafetensorsHeader& a, const SafetensorsHeader& b) {
  if (a.metadata != b.metadata || a.entries.size() != b.entries.size()) return false;
  for (std::size_t i = 0; i < a.entries.size(); ++i) {
    const auto &x = a.entries[i], &y = b.entries[i];
    if (x.name != y.name || x.dtype != y.dtype || x.shape != y.shape || x.offset != y.offset ||
        x.bytes != y.bytes) {
      return false;
    }
  }
  return true;
}

/// Parses what may be broken: an Error, or a header that a second writing and parsing keeps.
void survive(const std::string& file) {
  SafetensorsHeader header;
  try {
    header = parse(file);
  } catch (const Error& error) {
    ASSERT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::model));
    return;
  }
  SafetensorsHeader again = header;
  const std::string rebuilt = build_safetensors_header(again) + file.substr(header.data_start);
  ASSERT_TRUE(equal(parse(rebuilt), header)) << file;
}

TEST(Safetensors, SurvivesEveryTruncation) {
  const std::string file = small_file();
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_NE(error_of(file.substr(0, size)), "") << size;
  }
}

TEST(Safetensors, SurvivesEveryByteChanged) {
  const std::string file = small_file();
  for (std::size_t at = 0; at < parse(file).data_start; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = file;
      changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
      survive(changed);
    }
    for (const char byte : std::string("\0\"{}[],:09\\ \xFF", 13)) {
      std::string changed = file;
      changed[at] = byte;
      survive(changed);
      changed.insert(at, 1, byte);
      survive(changed);
    }
  }
}

TEST(Safetensors, SurvivesRandomDamage) {
  const std::string file = small_file();
  RandomStream random(11, StreamPurpose::order);
  for (int round = 0; round < 3000; ++round) {
    std::string changed = file;
    for (uint64_t edits = 1 + random.below(6); edits > 0; --edits) {
      const std::size_t at = 8 + random.below(changed.size() - 8);
      const std::size_t from = 8 + random.below(changed.size() - 8);
      const std::size_t length = random.below(20);
      const std::string piece = changed.substr(from, length);
      if (random.below(2) == 0) changed.erase(at, random.below(20));
      changed.insert(std::min(at, changed.size()), piece);
    }
    const uint64_t length = changed.size() - 8 - 21;
    if (changed.size() > 40) std::memcpy(changed.data(), &length, 8);
    survive(changed);
  }
}

}  // namespace
}  // namespace bitstill
