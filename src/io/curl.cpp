#include "io/curl.h"

#include <dlfcn.h>

namespace callie::io {
namespace {

constexpr const char* kLibrary = "libcurl.so.4";

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool load(Curl& curl) {
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  return library && find(library, "curl_global_init", curl.global_init) && find(library, "curl_easy_init", curl.easy_init) &&
         find(library, "curl_easy_setopt", curl.easy_setopt) && find(library, "curl_easy_perform", curl.easy_perform) &&
         find(library, "curl_easy_getinfo", curl.easy_getinfo) && find(library, "curl_easy_cleanup", curl.easy_cleanup) &&
         find(library, "curl_easy_strerror", curl.easy_strerror) && find(library, "curl_slist_append", curl.slist_append) &&
         find(library, "curl_slist_free_all", curl.slist_free_all) && curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

}  // namespace

StatusOr<const Curl*> Curl::get() {
  static Curl curl;
  static const bool loaded = load(curl);
  if (!loaded) return error(StatusCode::kUnavailable, "{}: cannot be loaded, and connections need it", kLibrary);
  return &curl;
}

}  // namespace callie::io
