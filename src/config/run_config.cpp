#include "bitstill/config/run_config.hpp"

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {

void add_settings(SettingTable& table, RunConfig& c) {
  table.add("config", &c.recipe, "recipe file; settings on the command line win");
  table.add("resume", &c.resume,
            "continue the run of run.folder at its last checkpoint; auto: or start one there");
  table.add("overwrite", &c.overwrite, "move an earlier run of run.folder to run.folder.N");
  table.add("dry-run", &c.dry_run,
            "print the resolved settings, the plan and what real steps take; write nothing");
  table.add("data.folder", &c.data_folder, "shards, made by bitstill shard");
  table.add("data.prefetch", &c.prefetch, "batches read ahead");
  table.add("data.threads", &c.decode_threads, "threads a rank that decode and crop images");
  table.add(
      "data.window", &c.window,
      "of sentences: so many of an epoch's order are sorted by length together, so that those "
      "of a forward pass are about as long as each other");
  table.add_section("data", c.augmentation);
  table.add_section("run", c.run);
  table.add_section("model", c.model);
  table.add_section("teacher", c.teacher);
  table.add("teacher.file", &c.teacher_file, "the teacher's weights: .safetensors");
  table.add("teacher.cache", &c.teacher_cache,
            "logits that bitstill cache wrote: read instead of asking a network");
  table.add("teacher.precision", &c.teacher_precision, "");
  table.add_section("teacher", c.layout);
  table.add("student.init", &c.student_init, "random | FILE (.safetensors)");
  table.add_section("quant", c.quant);
  table.add_section("distill", c.distill);
  table.add_section("train", c.train);
  table.add_section("exchange", c.exchange);
}

void check(const RunConfig& c) {
  const auto require = [](bool good, const std::string& message) {
    if (!good) throw Error(ExitCode::settings, message);
  };
  require(!c.run.folder.empty(), "run.folder is empty: name a folder to write into");
  require(c.run.seed >= 0, concat("run.seed = ", c.run.seed, ": give 0 or more"));
  require(c.run.threads >= 0 && c.run.threads <= 4096,
          concat("run.threads = ", c.run.threads, ": give 0 (automatic) or more"));
  require(c.run.timeout_s >= 0,
          concat("run.timeout_s = ", c.run.timeout_s, ": give 0 (none) or the seconds to wait"));
  require(c.run.load_factor >= 1,
          concat("run.load_factor = ", c.run.load_factor, ": give 1 or more"));
  require(c.run.save_factor >= 1,
          concat("run.save_factor = ", c.run.save_factor, ": give 1 or more"));
  require(c.run.walltime_s >= 0,
          concat("run.walltime_s = ", c.run.walltime_s, ": give 0 (none) or seconds"));
  require(c.run.stop_steps >= 0,
          concat("run.stop_steps = ", c.run.stop_steps, ": give 0 (none) or steps"));
  require(c.run.save_steps >= 0,
          concat("run.save_steps = ", c.run.save_steps, ": give 0 (none) or more"));
  require(c.run.save_minutes >= 0,
          concat("run.save_minutes = ", c.run.save_minutes, ": give 0 (none) or minutes"));
  require(c.run.keep >= 1, concat("run.keep = ", c.run.keep, ": give 1 or more"));
  require(c.run.keep_every >= 0,
          concat("run.keep_every = ", c.run.keep_every, ": give 0 (none) or more"));
  require(c.run.check_steps >= 1,
          concat("run.check_steps = ", c.run.check_steps, ": give 1 or more"));
  require(c.run.log_steps >= 1, concat("run.log_steps = ", c.run.log_steps, ": give 1 or more"));
  require(c.prefetch >= 1 && c.prefetch <= 1000,
          concat("data.prefetch = ", c.prefetch, ": give 1..1000"));
  require(c.decode_threads >= 1 && c.decode_threads <= 1000,
          concat("data.threads = ", c.decode_threads, ": give 1..1000"));
  require(c.window >= 1, concat("data.window = ", c.window, ": give 1 or more"));
  check(c.augmentation.crop);
  check(c.augmentation.colour);
  check(c.augmentation.mix);
  require(c.teacher_cache.empty() || !mixes(c.augmentation.mix),
          "teacher.cache holds answers to pictures that are not mixed; leave out data.mixup and "
          "data.cutmix, or name teacher.file instead");
  require(c.augmentation.shift >= 0,
          concat("data.shift = ", c.augmentation.shift, ": give 0 or more"));
  require(c.augmentation.variants >= 0,
          concat("data.variants = ", c.augmentation.variants, ": give 0 or more"));
  require(c.augmentation.seed >= -1,
          concat("data.augment_seed = ", c.augmentation.seed, ": give -1 (run.seed) or more"));
  require(!(c.overwrite && c.resume != Resume::no),
          "resume and overwrite are both given; choose one");
  check(c.quant);
  check(c.distill);
  check(c.train);
  check(c.exchange);
  check(c.layout);
  check(c.train, c.exchange);
  const Trained trained = trained_by(c.quant);
  require(c.exchange.codec == Codec::none || c.quant.alternate != Alternate::off ||
              trained.weights || trained.others,
          concat("exchange.codec = ", c.exchange.codec,
                 ": only points travel with these quant.* settings; give none"));
}

}  // namespace bitstill
