#include "bitstill/train/optimizer.hpp"

#include <ATen/ops/zeros.h>

#include <cmath>

#include "../base/scratch_folder.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/train/checkpoint.hpp"
#include "bitstill/train/ship.hpp"
#include "train_fixture.hpp"

namespace bitstill {
namespace {

TrainOptions options_of(Optimizer optimizer) {
  TrainOptions options;
  options.optimizer = optimizer;
  options.weight_decay = 0.01;
  return options;
}

/// Gradients of step `step`: padding stays zero, as backward leaves it.
void set_gradients(Student& student, int64_t step) {
  student.gradients().zero_();
  for (const Segment& segment : student.segments()) {
    float* gradient = student.gradients().data_ptr<float>() + segment.offset;
    for (int64_t i = 0; i < segment.count; ++i) {
      gradient[i] = static_cast<float>(std::sin(0.7 * static_cast<double>(i + segment.offset) +
                                                1.3 * static_cast<double>(step)));
    }
  }
}

/// One number under the plain formulas, in double.
struct Plain {
  double w, m = 0, v = 0;
  int64_t steps = 0;

  void sgd(double g, double rate, double decay, double momentum, bool nesterov) {
    g += decay * w;
    m = steps++ == 0 ? g : momentum * m + g;
    w -= rate * (nesterov ? g + momentum * m : m);
  }
  void adam(double g, double rate, double decay, bool decoupled) {
    if (decoupled) w -= rate * decay * w;
    if (!decoupled) g += decay * w;
    ++steps;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    const double mean = m / (1 - std::pow(0.9, steps)), square = v / (1 - std::pow(0.999, steps));
    w -= rate * mean / (std::sqrt(square) + 1e-8);
  }
};

/// One update as the training step makes it; the gradient's norm.
double update(MasterOptimizer& optimizer, double rate) {
  const double norm = optimizer.gradient_norm();
  if (std::isfinite(norm)) optimizer.update(rate, norm);
  return norm;
}

void check_formula(const TrainOptions& options) {
  SCOPED_TRACE(testing::Message() << options.optimizer << " " << options.decay << " "
                                  << options.momentum);
  Student student = small_student(6, uniform(2, 16));
  MasterOptimizer optimizer(student, options);
  std::vector<Plain> numbers;
  for (int64_t i = 0; i < student.masters().numel(); ++i) {
    numbers.push_back({student.masters()[i].item<float>()});
  }
  for (int64_t step = 0; step < 3; ++step) {
    set_gradients(student, step);
    const double rate = 0.1 / static_cast<double>(step + 1);
    update(optimizer, rate);
    for (std::size_t s = 0; s < student.segments().size(); ++s) {
      const Segment& segment = student.segments()[s];
      const bool weight = student.network().parameters()[s]->role == ParameterRole::weight;
      const double decay = options.decay == Decay::all || weight ? options.weight_decay : 0;
      const float* g = student.gradients().const_data_ptr<float>();
      const float* w = student.masters().const_data_ptr<float>();
      for (int64_t i = segment.offset; i < segment.offset + segment.count; ++i) {
        Plain& number = numbers[static_cast<std::size_t>(i)];
        if (options.optimizer == Optimizer::sgd) {
          number.sgd(g[i], rate, decay, options.momentum, options.nesterov);
        } else {
          number.adam(g[i], rate, decay, options.optimizer == Optimizer::adamw);
        }
        ASSERT_NEAR(w[i], number.w, 2e-6) << segment.name << " step " << step;
      }
    }
  }
  at::Tensor padding = student.masters().detach().clone();
  for (const Segment& segment : student.segments())
    padding.narrow(0, segment.offset, segment.count).zero_();
  EXPECT_EQ(padding.abs().sum().item<float>(), 0);
}

TEST(Optimizer, ThreeStepsByTheFormulas) {
  for (const Optimizer kind : {Optimizer::sgd, Optimizer::adam, Optimizer::adamw}) {
    for (const Decay decay : {Decay::all, Decay::weights}) {
      TrainOptions options = options_of(kind);
      options.decay = decay;
      check_formula(options);
    }
  }
  TrainOptions plain = options_of(Optimizer::sgd);
  plain.nesterov = false;
  check_formula(plain);
  plain.momentum = 0;
  check_formula(plain);
}

double norm_of(const std::vector<double>& values) {
  double square = 0;
  for (const double value : values) square += value * value;
  return std::sqrt(square);
}

/// One tensor under LARS or LAMB as their papers have them, in double.
struct PlainTensor {
  std::vector<double> w, m, v;
  bool weight = false;
  int64_t steps = 0;

  double ratio(double of, double to) const { return weight && of > 0 && to > 0 ? of / to : 1; }

  void lars(const std::vector<double>& g, double rate, const TrainOptions& options) {
    const double decay = weight ? options.weight_decay : 0;
    const double own = ratio(options.trust * norm_of(w), norm_of(g) + decay * norm_of(w));
    for (std::size_t i = 0; i < w.size(); ++i) {
      m[i] = options.momentum * m[i] + rate * own * (g[i] + decay * w[i]);
      w[i] -= m[i];
    }
  }

  void lamb(const std::vector<double>& g, double rate, const TrainOptions& options) {
    const double decay = weight ? options.weight_decay : 0;
    ++steps;
    std::vector<double> u;
    for (std::size_t i = 0; i < w.size(); ++i) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
      const double mean = m[i] / (1 - std::pow(0.9, steps));
      u.push_back(mean / (std::sqrt(v[i] / (1 - std::pow(0.999, steps))) + 1e-8) + decay * w[i]);
    }
    const double own = ratio(norm_of(w), norm_of(u));
    for (std::size_t i = 0; i < w.size(); ++i) w[i] -= rate * own * u[i];
  }
};

std::vector<double> part_of(const at::Tensor& flat, const Segment& segment) {
  const float* values = flat.const_data_ptr<float>() + segment.offset;
  return {values, values + segment.count};
}

TEST(Optimizer, LarsAndLambAreTheirPapersFormulas) {
  for (const Optimizer kind : {Optimizer::lars, Optimizer::lamb}) {
    TrainOptions options = options_of(kind);
    options.trust = 0.02;
    Student student = small_student(6, uniform(2, 16));
    MasterOptimizer optimizer(student, options);
    std::vector<PlainTensor> tensors;
    for (std::size_t s = 0; s < student.segments().size(); ++s) {
      PlainTensor tensor;
      tensor.w = part_of(student.masters(), student.segments()[s]);
      tensor.m.resize(tensor.w.size());
      tensor.v = tensor.m;
      tensor.weight = student.network().parameters()[s]->role == ParameterRole::weight;
      tensors.push_back(tensor);
    }
    for (int64_t step = 0; step < 4; ++step) {
      set_gradients(student, step);
      const double rate = 0.3 / static_cast<double>(step + 1);
      update(optimizer, rate);
      for (std::size_t s = 0; s < tensors.size(); ++s) {
        const Segment& segment = student.segments()[s];
        const std::vector<double> g = part_of(student.gradients(), segment);
        if (kind == Optimizer::lars) {
          tensors[s].lars(g, rate, options);
        } else {
          tensors[s].lamb(g, rate, options);
        }
        const std::vector<double> now = part_of(student.masters(), segment);
        for (std::size_t i = 0; i < now.size(); ++i) {
          ASSERT_NEAR(now[i], tensors[s].w[i], 2e-6) << segment.name << " step " << step;
        }
      }
    }
  }
}

TEST(Optimizer, ClipsTheNormAndTellsWhatIsNotFinite) {
  TrainOptions options = options_of(Optimizer::sgd);
  options.momentum = 0;
  options.nesterov = false;
  options.weight_decay = 0;
  options.clip_norm = 0.5;
  Student student = small_student(6);
  MasterOptimizer optimizer(student, options);
  for (const double scale : {100.0, 1e-3}) {
    set_gradients(student, 1);
    student.gradients().mul_(scale);
    const at::Tensor gradient = student.gradients().to(at::kDouble);
    const at::Tensor before = student.masters().detach().clone();
    double square = 0;
    for (int64_t i = 0; i < gradient.numel(); ++i)
      square += std::pow(gradient[i].item<double>(), 2);
    const double norm = std::sqrt(square), factor = std::min(1.0, 0.5 / norm);
    EXPECT_NEAR(update(optimizer, 0.2), norm, 1e-5 * norm);
    EXPECT_LT(largest_difference(student.masters().detach(), before - gradient * (0.2 * factor)),
              1e-6);
  }
  const at::Tensor before = student.masters().detach().clone();
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    set_gradients(student, 2);
    student.gradients()[17].fill_(bad);
    EXPECT_FALSE(std::isfinite(update(optimizer, 0.2)));
    EXPECT_TRUE(same_bits(student.masters().detach(), before));
  }
}

void train(Student& student, MasterOptimizer& optimizer, int64_t from, int64_t to) {
  for (int64_t step = from; step < to; ++step) {
    set_gradients(student, step);
    update(optimizer, 0.05);
    student.quantize(step);
  }
}

TEST(Optimizer, StateContinuesBitForBit) {
  for (const Optimizer kind :
       {Optimizer::sgd, Optimizer::adam, Optimizer::adamw, Optimizer::lars, Optimizer::lamb}) {
    TrainOptions options = options_of(kind);
    options.decay = Decay::weights;
    Student whole = small_student(6), first = small_student(6), second = small_student(8);
    MasterOptimizer whole_optimizer(whole, options), first_optimizer(first, options);
    MasterOptimizer second_optimizer(second, options);
    train(whole, whole_optimizer, 0, 5);
    train(first, first_optimizer, 0, 2);
    second.load(first.state(), "first");
    second_optimizer.restore(first_optimizer.state(), "first");
    train(first, first_optimizer, 2, 3);  // what it gave is a copy
    train(second, second_optimizer, 2, 5);
    EXPECT_TRUE(same_bits(whole.masters().detach(), second.masters().detach())) << kind;
    EXPECT_EQ(whole_optimizer.state().size(), second_optimizer.state().size());
  }
}

Json about_of(const Student&) {
  return describe_model("weights", small_spec(), {"a", "b", "c", "d"});
}

QuantOptions method(QuantMethod name) {
  QuantOptions options = uniform(2, 16);
  options.method = name;
  return options;
}

/// A student with both of its optimizers.
struct Trainee {
  Trainee(uint64_t seed, const QuantOptions& quant, const TrainOptions& train)
      : student(small_student(seed, quant)),
        masters(student, train, trained_by(quant)),
        learned(student, quant, train),
        average(student, train),
        trained(trained_by(quant)) {}

  void train(int64_t from, int64_t to) {
    for (int64_t step = from; step < to; ++step) {
      student.quantize(step);
      set_gradients(student, step);
      student.backward(trained.learned);
      if (trained.weights || trained.others) update(masters, 0.05);
      if (trained.learned) learned.update(0.05);
      average.after_step();
    }
    student.quantize(to);
  }

  Student student;
  MasterOptimizer masters;
  LearnedOptimizer learned;
  WeightAverage average;
  Trained trained;
};

TEST(Checkpoint, ContinuesAsIfNothingHadHappened) {
  const ScratchFolder folder;
  const std::string path = folder / "last.safetensors";
  for (const Optimizer kind : {Optimizer::sgd, Optimizer::adam, Optimizer::adamw}) {
    for (const QuantOptions& quant :
         {QuantOptions{}, uniform(2, 16), method(QuantMethod::points), method(QuantMethod::joint),
          method(QuantMethod::lsq), method(QuantMethod::kmeans)}) {
      SCOPED_TRACE(testing::Message() << kind << " " << quant.method);
      TrainOptions options = options_of(kind);
      options.average = Average::ema;
      options.schedule = RateSchedule::plateau;
      options.plateau_epochs = 1;
      Trainee whole(6, quant, options), again(9, quant, options);
      Schedule whole_schedule(options), again_schedule(options);
      whole.train(0, 3);
      whole.student.running().add_(0.25);
      whole_schedule.observe(9);
      whole_schedule.observe(9);
      RunState state;
      state.epoch = 3;
      state.step = 14;
      state.epoch_first = 12;
      state.tally.samples = 40;
      state.tally.hard = 1.0 / 3;
      state.skipped = 1;
      state.best_epoch = 2;
      state.best_step = 8;
      state.best_accuracy = 91.5;
      state.last_accuracy = 90.25;
      write_model_file(path, checkpoint_state(about_of(whole.student), {{"kept", 1}}, whole.student,
                                              whole.masters, whole.learned, whole.average,
                                              whole_schedule, state));
      EXPECT_EQ(checkpoint_facts(path).record, Json({{"kept", 1}}));
      EXPECT_EQ(to_json(checkpoint_facts(path).state), to_json(state));
      whole.train(3, 6);

      const RunState back = load_checkpoint(path, again.student, again.masters, again.learned,
                                            again.average, again_schedule);
      EXPECT_EQ(to_json(back), to_json(state));
      EXPECT_EQ(again_schedule.state(), whole_schedule.state());
      EXPECT_LT(again_schedule.rate({}), options.rate);
      again.train(3, 6);
      EXPECT_EQ(again.student.fingerprints(), whole.student.fingerprints());
      EXPECT_TRUE(same_bits(again.student.shadows().detach(), whole.student.shadows().detach()));
      const AveragedStudent one(whole.average), other(again.average);
      EXPECT_EQ(again.student.fingerprints(), whole.student.fingerprints());
    }
  }
}

TEST(Checkpoint, OneOfVersion01HasEpochsOfEqualSteps) {
  RunState state;
  state.epoch = 3;
  state.step = 14;
  state.epoch_first = 12;
  state.best_epoch = 2;
  state.best_step = 8;
  Json before = to_json(state);
  before.erase("epoch_first");
  before.erase("best_step");
  RunState back = run_state_from_json(before, "x");
  back.complete(4);
  EXPECT_EQ(to_json(back), to_json(state));
  EXPECT_EQ(back.within(), 2);
  back.complete(5);  // what is known stays
  EXPECT_EQ(back.epoch_first, 12);
  back.end_epoch();
  EXPECT_TRUE(back.note_validation(50));
  EXPECT_EQ(back.within(), 0);
  EXPECT_EQ(back.best_step, 14);
  state.epoch_first = 15;  // in the future
  error_of(ExitCode::model, [&] { run_state_from_json(to_json(state), "x"); });
}

TEST(Checkpoint, BeforeTheFirstUpdate) {
  const ScratchFolder folder;
  for (const Optimizer kind : {Optimizer::sgd, Optimizer::adam}) {
    for (const QuantMethod name : {QuantMethod::uniform, QuantMethod::joint, QuantMethod::points}) {
      Trainee trainee(6, method(name), options_of(kind));
      Schedule schedule(options_of(kind));
      write_model_file(
          folder / "x",
          checkpoint_state(about_of(trainee.student), {}, trainee.student, trainee.masters,
                           trainee.learned, trainee.average, schedule, {}));
      EXPECT_EQ(load_checkpoint(folder / "x", trainee.student, trainee.masters, trainee.learned,
                                trainee.average, schedule)
                    .best_epoch,
                0);
    }
  }
}

TEST(Checkpoint, MastersAloneGoAndComeBack) {
  const ScratchFolder folder;
  Student from = small_student(1, uniform(2, 16)), to = small_student(2, uniform(2, 16));
  save_masters(folder / "best.safetensors", about_of(from), from, 8);
  load_masters(folder / "best.safetensors", to);
  EXPECT_EQ(from.fingerprints(), to.fingerprints());
  EXPECT_EQ(load_model(folder / "best.safetensors").classes.size(), 4u);
}

/// What ships, as bytes.
std::string shipped(const std::string& path, const Json& about, const Student& student) {
  write_model_file(path, student_file(about, student, 3));
  return read_file(path, ExitCode::model);
}

TEST(Checkpoint, AStoredStudentShipsTheSameBytes) {
  const ScratchFolder folder;
  for (const QuantMethod name : {QuantMethod::uniform, QuantMethod::points, QuantMethod::joint,
                                 QuantMethod::lsq, QuantMethod::kmeans}) {
    QuantOptions options = method(name);
    if (options.method == QuantMethod::uniform) options.rounding = Rounding::stochastic;
    Trainee trainee(6, options, options_of(Optimizer::sgd));
    trainee.train(0, 3);
    const at::Tensor vocabulary = at::randint(256, {1001}, at::kByte);
    const uint64_t without = fp32_file_bytes(about_of(trainee.student), trainee.student, 3);
    trainee.student.attach({{"vocabulary.joint", vocabulary}});
    EXPECT_GT(fp32_file_bytes(about_of(trainee.student), trainee.student, 3), without + 1001);
    Json about = about_of(trainee.student);
    about["seed"] = 6;
    const std::string expected = shipped(folder / "student", about, trainee.student);
    const auto* const bytes = static_cast<const char*>(vocabulary.const_data_ptr());
    EXPECT_NE(expected.find(std::string(bytes, 1001)), std::string::npos);
    save_masters(folder / "master", about, trainee.student, 3);
    RunState state;
    state.epoch = state.best_epoch = 1;
    state.step = 3;
    write_model_file(
        folder / "last",
        checkpoint_state(about, {{"kept", 1}}, trainee.student, trainee.masters, trainee.learned,
                         trainee.average, Schedule(options_of(Optimizer::sgd)), state));
    for (const char* file : {"master", "last"}) {
      const StoredStudent stored = load_stored_student(folder / file);
      EXPECT_EQ(stored.about["steps"], 3);
      EXPECT_TRUE(shipped(folder / "again", stored.about, stored.student) == expected)
          << name << " from " << file;
    }
  }
}

TEST(Checkpoint, AStoredStudentNeedsAllOfItsState) {
  const ScratchFolder folder;
  const std::string path = folder / "master";
  QuantOptions options = method(QuantMethod::joint);
  options.redistribute = Redistribute::points;
  const Student student = small_student(6, options);
  Json about = about_of(student);
  about["seed"] = 6;
  save_masters(path, about, student, 3);
  const ModelFile whole = read_model_file(path);
  const auto refuse = [&](const ModelFile& file, const std::string& word) {
    write_model_file(path, file);
    const std::string text = error_of(ExitCode::model, [&] { load_stored_student(path); });
    EXPECT_NE(text.find(path), std::string::npos) << text;
    EXPECT_NE(text.find(word), std::string::npos) << text;
  };
  for (const char* name : {"seed", "steps", "quantizer"}) {
    ModelFile file = whole;
    file.about.erase(name);
    refuse(file, "no state");
    file.about[name] = "three";
    refuse(file, "no state");
  }
  ModelFile file = whole;
  file.tensors.pop_back();
  refuse(file, "points");
  file.tensors.emplace_back(whole.tensors.back().first, at::zeros({257}));
  refuse(file, "2 to 256 points");
  refuse({Json(), whole.tensors, {}}, "another program");
  refuse(student_file(about, student, 3), "quantized already");
}

TEST(Checkpoint, RefusesWhatIsNotItsOwn) {
  const ScratchFolder folder;
  const std::string path = folder / "last.safetensors";
  const auto save = [&](const TrainOptions& options, const RunState& state = {}) {
    Trainee trainee(6, {}, options);
    trainee.train(0, 2);
    write_model_file(
        path, checkpoint_state(about_of(trainee.student), {}, trainee.student, trainee.masters,
                               trainee.learned, trainee.average, Schedule(options), state));
  };
  const auto load = [&](const TrainOptions& options, std::unique_ptr<Network> network) {
    const std::string text = error_of(ExitCode::model, [&] {
      Student student(std::move(network), {}, 1, at::kCPU);
      MasterOptimizer optimizer(student, options);
      LearnedOptimizer learned(student, {}, options);
      WeightAverage average(student, options);
      Schedule schedule(options);
      load_checkpoint(path, student, optimizer, learned, average, schedule);
    });
    EXPECT_NE(text.find(path), std::string::npos) << text;
    return text;
  };
  constexpr Optimizer kKinds[] = {Optimizer::sgd, Optimizer::adam};
  for (const Optimizer saved : kKinds) {
    save(options_of(saved));
    NetworkSpec wider = small_spec();
    wider.hidden = {8};
    load(options_of(saved), make_network(wider));
    TrainOptions other = options_of(saved == kKinds[0] ? Optimizer::adam : Optimizer::sgd);
    EXPECT_NE(load(other, small_network(1)).find("optimizer"), std::string::npos);
    other = options_of(saved);
    other.decay = Decay::weights;  // other slices
    EXPECT_NE(load(other, small_network(1)).find("optimizer"), std::string::npos);
  }
  RunState before_start, negative_step, best_to_come;
  before_start.epoch = -1;
  negative_step.step = -3;
  best_to_come.best_epoch = 1;
  for (const RunState& bad : {before_start, negative_step, best_to_come}) {
    save(options_of(Optimizer::sgd), bad);
    load(options_of(Optimizer::sgd), small_network(1));
  }
  Student student = small_student(1);
  save_masters(path, about_of(student), student, 0);  // a model, but no checkpoint
  EXPECT_NE(load(options_of(Optimizer::sgd), small_network(1)).find("no checkpoint"),
            std::string::npos);
  write_model_file(path, {Json(), student.state(), {}});
  load(options_of(Optimizer::sgd), small_network(1));
  replace_file(path, "not a model at all, but long enough to hold a header's length");
  load(options_of(Optimizer::sgd), small_network(1));
  std::filesystem::remove(path);
  load(options_of(Optimizer::sgd), small_network(1));
}

}  // namespace
}  // namespace bitstill
