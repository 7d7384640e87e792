#include "bitstill/train/checkpoint.hpp"

#include <ATen/ops/zeros.h>

#include "../base/scratch_folder.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/train/ship.hpp"
#include "optimizer_fixture.hpp"

namespace bitstill {
namespace {

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
