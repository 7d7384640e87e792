// Under mpirun: a teacher in slices against the same pieces whole on every rank.
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "bitstill/comm/agree.hpp"
#include "bitstill/model/unit_pieces.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/teacher/gathered.hpp"
#include "rank_main.hpp"

namespace bitstill {
namespace {

NetworkSpec spec() {
  NetworkSpec spec;
  spec.input = {2, 7, 5};
  spec.classes = 6;
  spec.widths = {3, 5};
  spec.kernels = {3, 5};
  spec.pools = {1};
  spec.hidden = {11, 7};
  spec.dropout = {0};
  return spec;
}

std::unique_ptr<Network> network() {
  auto made = make_network(spec());
  initialize(*made, 4);
  for (Buffer* buffer : made->buffers()) buffer->value.add_(0.3);
  return made;
}

/// Cannot give one of its tensors.
class BrokenSource final : public TensorSource {
 public:
  explicit BrokenSource(std::string name) : name_(std::move(name)) {}
  at::Tensor rows(const std::string& name, int64_t first, int64_t count) override {
    return whole(name).narrow(0, first, count);
  }
  at::Tensor whole(const std::string& name) override {
    if (name == name_) throw Error(ExitCode::model, "no more of " + name);
    return NetworkSource(*network_).whole(name);
  }

 private:
  std::unique_ptr<Network> network_ = network();
  std::string name_;
};

std::unique_ptr<Piecewise> pieces(bool bf16 = false) {
  return make_unit_pieces(make_skeleton(spec(), kMostParameters), bf16, at::kCPU);
}

std::unique_ptr<Teacher> gathered(int64_t window, Overlap overlap = Overlap::automatic,
                                  bool bf16 = false) {
  const auto whole = network();
  NetworkSource source(*whole);
  TeacherLayout layout;
  layout.window = window;
  return make_gathered_teacher(rank_world(), pieces(bf16), source, {}, layout, overlap,
                               {at::zeros({5, 2, 7, 5}), 2});
}

/// What one rank alone answers by the same pieces.
at::Tensor alone(const at::Tensor& x, bool bf16) {
  const auto whole = pieces(bf16);
  const auto values = network();
  NetworkSource source(*values);
  std::vector<PassState> states = {whole->begin(x)};
  for (std::size_t piece = 0; piece < whole->pieces().size(); ++piece) {
    std::vector<uint64_t> plain(static_cast<std::size_t>(whole->pieces()[piece].plain_bytes / 8));
    whole->read(piece, source, plain.data());
    whole->run(piece, plain.data(), states);
  }
  return whole->finish(std::move(states[0])).rows.narrow(0, 0, x.size(0));
}

/// Rank r asks r mod 3 questions a sweep.
void sweep(Teacher& teacher, bool more, bool bf16) {
  std::vector<at::Tensor> images;
  std::vector<Question> questions;
  for (int i = 0; i < rank_world().place().rank % 3; ++i) {
    images.push_back(at::randn({i == 1 ? 1 : 5, 2, 7, 5}));
    questions.push_back({images.back(), {}, 0});
  }
  const std::vector<Answer> answers = teacher.answer(questions, more);
  ASSERT_EQ(answers.size(), images.size());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    EXPECT_TRUE(at::equal(answers[i].logits(0, images[i].size(0)), alone(images[i], bf16)));
  }
}

TEST(GatheredTeacher, AnswersAsTheWholeOneAtAnyWindow) {
  const int64_t least = gathered(0)->traits().slices->largest_piece;
  for (const int64_t window : {least, 2 * least, int64_t{1} << 30, int64_t{0}}) {
    for (const Overlap overlap : {Overlap::automatic, Overlap::off}) {
      for (const bool bf16 : {false, true}) {
        const auto teacher = gathered(window, overlap, bf16);
        for (int n = 0; n < 4; ++n) sweep(*teacher, n < 3, bf16);
        sweep(*teacher, true, bf16);  // after what was said to be the last
        teacher->settle();
        sweep(*teacher, true, bf16);  // and after a pause
        teacher->settle();
      }
    }
  }
}

TEST(GatheredTeacher, KeepsItsShareAlone) {
  const auto teacher = gathered(0);
  const SliceFacts& facts = *teacher->traits().slices;
  const int64_t world = rank_world().place().world;
  EXPECT_EQ(facts.world, world);
  EXPECT_EQ(facts.pieces, 5);
  EXPECT_GE(facts.mine * world, facts.plain);
  EXPECT_LT(facts.mine * world, facts.plain + 64 * world * facts.pieces);
}

TEST(GatheredTeacher, MeasuresEachPieceWhereGathersOverlap) {
  const auto teacher = gathered(0);
  const SliceFacts& facts = *teacher->traits().slices;
  EXPECT_EQ(static_cast<int64_t>(facts.measured.size()), facts.pieces);
  int64_t mine = 0;
  for (const GatherPiece& piece : facts.measured) {
    EXPECT_EQ(piece.plain_bytes, piece.slice_bytes * facts.world);
    EXPECT_GT(piece.seconds, 0);
    mine += piece.slice_bytes;
  }
  EXPECT_EQ(mine, facts.mine);
  EXPECT_TRUE(gathered(0, Overlap::off)->traits().slices->measured.empty());
}

TEST(GatheredTeacher, AWindowBelowOnePieceNamesTheLeast) {
  const int64_t least = gathered(0)->traits().slices->largest_piece;
  try {
    gathered(least - 1);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::settings);
    EXPECT_NE(std::string(error.what()).find(std::to_string(least)), std::string::npos);
  }
}

TEST(GatheredTeacher, WhatOneRankCannotReadEndsAll) {
  BrokenSource source("11.weight");  // the fourth piece: rank 3's of four
  try {
    make_gathered_teacher(rank_world(), pieces(), source, {}, {}, Overlap::automatic,
                          {at::zeros({5, 2, 7, 5}), 2});
    ADD_FAILURE() << "nothing was thrown";
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::model);
    EXPECT_NE(std::string(error.what()).find("no more of 11.weight"), std::string::npos);
  }
}

}  // namespace
}  // namespace bitstill
