#include "serve/page.h"

#include <cstddef>

namespace callie::serve {
namespace {

constexpr unsigned char kIndex[] = {
#include "page_index.inc"
};
constexpr unsigned char kScript[] = {
#include "page_app.inc"
};
constexpr unsigned char kStyle[] = {
#include "page_style.inc"
};

template <size_t n>
std::string_view text(const unsigned char (&bytes)[n]) {
  return {reinterpret_cast<const char*>(bytes), n};
}

const PageFile kFiles[] = {
    {"/", "text/html; charset=utf-8", text(kIndex)},
    {"/app.js", "text/javascript; charset=utf-8", text(kScript)},
    {"/style.css", "text/css; charset=utf-8", text(kStyle)},
};

}  // namespace

const PageFile* find_page_file(std::string_view path) {
  for (const PageFile& file : kFiles) {
    if (file.path == path) return &file;
  }
  return nullptr;
}

}  // namespace callie::serve
