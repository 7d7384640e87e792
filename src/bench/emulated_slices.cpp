// A teacher in slices whose pieces sleep; slices, gathers and window are the real ones.
#include <ATen/ops/zeros.h>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/model/frozen_pieces.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/teacher/gathered.hpp"
#include "emulated.hpp"

namespace bitstill {

bool in_emulated_slices(const World& world, const BenchStepOptions& s) {
  return s.emulate > 0 && s.layout.sharding != Sharding::replicated && world.place().world > 1;
}

std::unique_ptr<Teacher> emulated_slices(World& world, const BenchStepOptions& s,
                                         std::unique_ptr<Network> network) {
  NetworkSource source(*network);
  const NetworkSpec& spec = network->spec();
  TeacherTraits traits;
  traits.normalization = spec.normalization;
  traits.precision = inference_precision(s.teacher_precision);
  std::unique_ptr<Piecewise> pieces;
  agree(world.control(), [&] {
    if (traits.precision == InferencePrecision::int8) {
      throw Error(ExitCode::settings, "emulate: a teacher in slices is fp32 or bf16");
    }
    std::string obstacle;
    pieces = make_frozen_pieces(*network, {traits.precision, s.layout.piece_bytes, {}}, &source,
                                &obstacle);
    if (!pieces) throw Error(ExitCode::settings, concat("emulate, in slices: ", obstacle));
    pieces = emulate(std::move(pieces), spec.classes, kForwardShare * s.emulate);
  });
  const ImageShape& in = spec.input;
  const SweepSample sample{at::zeros({s.batch, in.channels, in.height, in.width}), 1};
  return make_gathered_teacher(world, std::move(pieces), source, traits, s.layout, s.gathers,
                               sample);
}

}  // namespace bitstill
