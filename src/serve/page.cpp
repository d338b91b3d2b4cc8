#include "serve/page.h"

namespace callie::serve {
namespace {

constexpr std::string_view kIndex =
#include "page_index.inc"
    ;
constexpr std::string_view kScript =
#include "page_app.inc"
    ;
constexpr std::string_view kStyle =
#include "page_style.inc"
    ;

constexpr PageFile kFiles[] = {
    {"/", "text/html; charset=utf-8", kIndex},
    {"/app.js", "text/javascript; charset=utf-8", kScript},
    {"/style.css", "text/css; charset=utf-8", kStyle},
};

}  // namespace

const PageFile* find_page_file(std::string_view path) {
  for (const PageFile& file : kFiles) {
    if (file.path == path) return &file;
  }
  return nullptr;
}

}  // namespace callie::serve
