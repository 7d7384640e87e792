// Text files that say what images show, and what classes are called.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bitstill {

/// The label of each image, in their order. A line an image: "LABEL", in the order of the images'
/// names, or "NAME LABEL" (or NAME,LABEL) in any order; LABEL is a class folder's name or its
/// number, counted from 0 in the order of names. Error(data) naming file and line: another number
/// of lines than images, no such class or image, one twice.
std::vector<int64_t> read_labels(const std::string& file, const std::vector<std::string>& images,
                                 const std::map<std::string, int64_t>& classes);

/// What the classes are called by a synset list: lines "FOLDER NAME...", more than there are
/// classes perhaps. A name that two classes share gets the folder behind it. Error(data) for a
/// class that is not listed.
std::vector<std::string> synset_names(const std::string& file,
                                      const std::vector<std::string>& classes);

}  // namespace bitstill
