#include "serve/http/exchange.h"

#include "serve/http/connection.h"

namespace callie::serve {

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

void ConnectionExchange::post(std::function<void()> work) {
  asio::post(strand, [self = shared_from_this(), work = std::move(work)] { work(); });
}

void ConnectionExchange::respond(int code, std::string type, std::string text, Headers extra) {
  asio::dispatch(strand, [this, self = shared_from_this(), code, type = std::move(type), text = std::move(text),
                          extra = std::move(extra)]() mutable {
    if (gone || status != 0) return;
    status = code;
    content_type = std::move(type);
    body = std::move(text);
    headers = std::move(extra);
    ended = true;
    wake.cancel();
  });
}

void ConnectionExchange::begin_stream(int code, std::string type, Headers extra) {
  asio::dispatch(strand,
                 [this, self = shared_from_this(), code, type = std::move(type), extra = std::move(extra)]() mutable {
                   if (gone || status != 0) return;
                   status = code;
                   content_type = std::move(type);
                   headers = std::move(extra);
                   streaming = true;
                   wake.cancel();
                 });
}

void ConnectionExchange::write(std::string chunk) {
  asio::dispatch(strand, [this, self = shared_from_this(), chunk = std::move(chunk)] {
    if (gone || ended) return;
    pending += chunk;
    wake.cancel();
  });
}

void ConnectionExchange::end() {
  asio::dispatch(strand, [this, self = shared_from_this()] {
    ended = true;
    wake.cancel();
  });
}

void ConnectionExchange::on_gone(std::function<void()> callback) {
  asio::dispatch(strand, [this, self = shared_from_this(), callback = std::move(callback)]() mutable {
    if (gone) {
      callback();
    } else if (!ended) {
      gone_callback = std::move(callback);
    }
  });
}

void ConnectionExchange::mark_gone() {
  if (gone) return;
  gone = true;
  pending.clear();
  const auto callback = std::move(gone_callback);
  gone_callback = nullptr;
  if (callback && !ended) callback();
  wake.cancel();
}

}  // namespace callie::serve
