// What commands share: a model file, shards that fit it, the split that is asked for, a teacher.
#pragma once

#include <memory>
#include <string>

#include "bitstill/comm/world.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/freeze.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/infer/model_vocabulary.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {

/// What a command takes: Error(settings) for shards of sentences where they can be but images.
enum class Holds { images, anything };

/// Rank 0 reads the index for all; the shards are looked at once on each host, its ranks sharing
/// them. Collective: every rank of world calls this.
std::unique_ptr<Dataset> open_dataset(World& world, const std::string& folder,
                                      Holds holds = Holds::images);
/// The same; Error(data) when the split is empty.
std::unique_ptr<Dataset> open_split(World& world, const std::string& folder, Split split,
                                    Holds holds = Holds::images);

/// Of token shards: what a network of sentences has from them, into *spec.
void fit_to_sentences(const VocabularyPair& vocabularies, NetworkSpec* spec);
/// The vocabularies of a folder of token shards. Error(data).
VocabularyPair vocabularies_of(const std::string& folder, const DataIndex& index);
/// Error(settings) where the network sees images and the shards hold sentences, or the reverse;
/// `section`: of the settings that name the network.
void require_content(const NetworkSpec& spec, const std::string& section, const DataIndex& shards);

/// data.* of a training run, settled by what the shards hold; evaluation shows the same.
void settle_images(RunConfig* config, Dataset* shards);

/// The model file that a path stands for: itself, or of a run's folder what it shipped, or its
/// `file`. Error(model) for a folder without one.
std::string model_path(const std::string& path, const std::string& file = "student.safetensors");

/// Loads the file and moves it to the device. `settings` (section.kind, ...) are what a plain file
/// cannot say of itself, and the shards, where given, what else it lacks; a file that does not fit
/// them is Error(model).
LoadedModel load_model_for(const std::string& path, const std::string& section,
                           const NetworkSpec& settings, const Dataset* shards,
                           const at::Device& device);

/// The same; the shards then show images as the file says that they were in its evaluation, decoded
/// by so many threads. Error(model) where JPEG shards cannot be shown so.
LoadedModel load_model_on(const std::string& path, const std::string& section,
                          const NetworkSpec& settings, Dataset* shards, const at::Device& device,
                          int64_t threads);

/// Where a network cannot be compiled for what `setting` asks (infer/freeze.hpp).
Error cannot_freeze(const std::string& setting, const char* precision, const std::string& obstacle);

/// What a teacher is to be compiled for: automatic is the fastest of fp32 and, where `bf16` is good
/// enough, bf16.
InferencePrecision wanted_precision(TeacherPrecision precision, bool bf16);
/// Whether one that cannot be compiled, for the reason `obstacle` (none: of sentences), runs in
/// bf16; on a CPU it says once that it is slower. Error(settings) where int8 was asked for.
bool uncompiled_bf16(TeacherPrecision precision, bool bf16, const std::string& obstacle,
                     const at::Device& device);

/// A teacher on every rank, compiled for inference where it can be, else with one warning layer by
/// layer (on a GPU always so). `precision`: fp32, bf16, int8, or automatic: the fastest of fp32
/// and, where `bf16` is good enough, bf16. Error(settings) where int8 cannot be.
std::unique_ptr<Teacher> make_teacher(std::unique_ptr<Network> network, TeacherPrecision precision,
                                      bool bf16, const Dataset& shards);
/// What the run log says of it.
Json describe_teacher(const Teacher& teacher);

}  // namespace bitstill
