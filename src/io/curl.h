#pragma once

#include <curl/curl.h>

#include "core/status.h"

namespace callie::io {

/// The functions of libcurl that are used. The library is loaded when a connection is made for the first time: it and the
/// 26 libraries behind it take a third of the start of a program that mostly makes none.
struct Curl {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_perform) easy_perform;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;

  /// The one copy, initialized; any thread. kUnavailable where libcurl.so.4 is not installed.
  static StatusOr<const Curl*> get();
};

}  // namespace callie::io
