// The one way in which every command goes through folders of images.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace bitstill {

/// Why something is passed over -> the paths of which that is so.
using LeftOut = std::map<std::string, std::vector<std::string>>;

/// "left out: 3 files that are no JPEG or PNG by name: a.txt, ..."; one line a reason.
std::vector<std::string> left_out_lines(const LeftOut& left_out);

/// The images of a folder, and what else was met on the way.
struct ImageWalk {
  std::vector<std::string> files;       // images by name, sorted bytewise
  std::vector<std::string> unreadable;  // "path: reason": what may have held or been an image
  LeftOut left_out;
};

/// Adds what one walk found to what others did.
void append(ImageWalk&& walk, ImageWalk* all);
void append(LeftOut&& left_out, LeftOut* all);

/// Ends in .jpg, .jpeg, .jpe, .jfif or .png, in any case.
bool is_image_name(const std::string& name);

/// Hidden, or what systems and tools leave behind: .ipynb_checkpoints, __MACOSX, @eaDir, ...
bool is_system_name(const std::string& name);

/// `folder` and all below it, linked folders too, each folder once: a link back into `above` (what
/// the caller itself goes through) or into a folder that was seen is named and not followed.
ImageWalk walk_images(const std::string& folder, const std::vector<std::string>& above = {});

/// What lies in `folder` itself, sorted bytewise. Error(data) where it cannot be read.
struct FolderContent {
  std::vector<std::string> folders;  // names
  std::vector<std::string> images;   // paths of plain files that are images by name
  std::vector<std::string> unreadable;
  LeftOut left_out;
};
FolderContent folder_content(const std::string& folder);

}  // namespace bitstill
