// A teacher in slices: every rank keeps 1/N of each piece, and gathers the pieces one after the
// other, ahead of their use.
#pragma once

#include <memory>

#include "bitstill/comm/world.hpp"
#include "bitstill/model/piecewise.hpp"
#include "bitstill/teacher/options.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {

/// By which a window is chosen: a micro-batch as it will come, on the device that is computed on,
/// and how many of them a sweep has.
struct SweepSample {
  at::Tensor x;  // [n, C, H, W] fp32, n > 0; undefined for sentences
  int64_t passes = 1;
  std::shared_ptr<const Tokens> tokens = {};  // of sentences
  at::Device device() const { return tokens ? tokens->rows.device() : x.device(); }
};

/// The layout, or where it is to be chosen the fastest one within its memory: pieces and links are
/// measured, and what each layout would take is said. Error(settings) where none fits.
/// Collective: every rank of world calls this.
TeacherLayout settled_layout(World& world, const Piecewise& network, const TeacherLayout& layout,
                             Overlap overlap, const SweepSample& sample);

/// A window that is not given may grow after so many sweeps, by the time between them.
constexpr int kSweepsToWindow = 3;

/// Reads its slices through `source`, which is not kept. Its answers are, to the bit, those of the
/// same pieces whole on one rank. Error(settings) for a window below the largest piece;
/// Error(model) and others of `source` on all ranks. Collective: every rank of world calls this.
std::unique_ptr<Teacher> make_gathered_teacher(World& world, std::unique_ptr<Piecewise> network,
                                               TensorSource& source, const TeacherTraits& traits,
                                               const TeacherLayout& layout, Overlap overlap,
                                               const SweepSample& sample);

}  // namespace bitstill
