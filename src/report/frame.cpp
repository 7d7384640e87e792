#include "bitstill/report/frame.hpp"

#include "bitstill/base/text.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/style.hpp"

namespace bitstill {

std::string page_frame(const std::string& title, const std::string& body) {
  return concat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>",
      escape_html(title), " – bitstill</title><style>", page_style(),
      "</style></head><body><main>\n", body, "</main></body></html>\n");
}

std::string page_header(const std::string& command, const std::string& title,
                        const std::string& about) {
  return concat("<header><div class=\"kicker\">bitstill ", command, "</div><h1>",
                escape_html(title), "</h1><p>", escape_html(about), "</p></header>\n");
}

std::string notes_list(const std::vector<std::string>& notes) {
  std::string items;
  for (const std::string& note : notes) {
    items += concat("<li class=\"note\">", escape_html(note), "</li>");
  }
  return items.empty() ? "" : concat("<ul class=\"notes\">", items, "</ul>\n");
}

std::string tile(const std::string& name, const std::string& value, const std::string& below) {
  if (value == "-") return "";
  return concat("<div class=\"card\"><dt>", name, "</dt><dd>", escape_html(value), "<small>",
                escape_html(below), "</small></dd></div>");
}

}  // namespace bitstill
