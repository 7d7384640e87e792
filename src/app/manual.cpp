// The manual page and the completion of Bash, from the same tables as --help.
#include <cstdio>

#include "bitstill/base/version.hpp"
#include "bitstill/config/help_pages.hpp"
#include "command.hpp"

namespace bitstill {
namespace {

void print_manual(World& world, std::span<const Command> commands) {
  std::printf(
      ".TH BITSTILL 1 \"\" \"bitstill %s\" \"User Commands\"\n"
      ".SH NAME\nbitstill \\- compress neural networks by distillation and quantization\n"
      ".SH SYNOPSIS\n\\fBbitstill\\fR \\fICOMMAND\\fR [\\fB\\-\\-config\\fR \\fIRECIPE\\fR] "
      "[\\fB\\-\\-SECTION.NAME\\fR \\fIVALUE\\fR]...\n.br\n"
      "\\fBmpirun \\-n\\fR \\fIN\\fR \\fBbitstill\\fR \\fICOMMAND\\fR ...\n.br\n"
      "\\fBbitstill\\-run \\-n\\fR \\fIN\\fR \\fBbitstill\\fR \\fICOMMAND\\fR ...\n"
      ".SH DESCRIPTION\nEvery setting is an option and a line of a recipe (rate = 0.05 under "
      "[train]); the option wins. Defaults stand in brackets.\n.SH COMMANDS\n",
      build_version());
  for (const Command& command : commands) {
    std::printf(".SS %s\n", command.name);
    command.run(world, {"--help=man"});
  }
  std::printf(".SH EXIT STATUS\n%s\n", roff(kExitCodes).c_str());
}

void print_completion(World& world, std::span<const Command> commands) {
  std::string names;
  std::printf("# Completion of bitstill in Bash, made by: bitstill --completion bash\n");
  for (const Command& command : commands) {
    names.append(names.empty() ? "" : " ").append(command.name);
    std::printf("_bitstill_%s() {\n  case $1 in\n", command.name);
    command.run(world, {"--help=bash"});
    std::printf("  esac\n}\n");
  }
  std::printf(
      "_bitstill() {\n"
      "  local command=${COMP_WORDS[1]} words='%s'\n"
      "  [ \"$COMP_CWORD\" -eq 1 ] || words=$(_bitstill_\"$command\" \"$3\" 2>/dev/null)\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$2\")\n"
      "}\n"
      "complete -o default -F _bitstill bitstill\n",
      names.c_str());
}

}  // namespace

bool print_pages(World& world, const Words& words, std::span<const Command> commands) {
  const bool manual = words == Words{"--man"};
  if (!manual && words != Words{"--completion", "bash"}) return false;
  if (world.place().rank == 0) {
    manual ? print_manual(world, commands) : print_completion(world, commands);
  }
  return true;
}

}  // namespace bitstill
