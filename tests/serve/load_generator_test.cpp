// The load generator against endpoints that are not Callie.
#include "serve/load_generator.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "core/json.h"
#include "serve/http/server.h"

namespace callie::serve {
namespace {

/// An endpoint that ends lines with "\r\n", counts no tokens and refuses fields that OpenAI does not know.
class OtherEndpoint {
 public:
  OtherEndpoint() {
    server_ = std::move(*HttpServer::start({.port = 0}, [](std::shared_ptr<Exchange> exchange) {
      const Json body = Json::parse(exchange->request().body, nullptr, false);
      if (exchange->request().path != "/v1/chat/completions" || !body.is_object() || body.contains("ignore_eos")) {
        return exchange->respond(400, "application/json", R"({"error": {"message": "unknown"}})");
      }
      exchange->begin_stream(200, "text/event-stream");
      exchange->write(": a comment\r\n\r\ndata:{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n");
      exchange->write("data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"Hm\"}}]}\r\n\r\ndata: {\"choi");
      exchange->write("ces\":[{\"delta\":{\"content\":\"Yes\"}}]}\r\n\r\ndata: {\"choices\":[],\"usage\":null}\r\n\r\n");
      exchange->post([exchange] {
        exchange->write("data: [DONE]\r\n\r\n");
        exchange->end();
      });
    }));
  }
  ~OtherEndpoint() { server_->stop(); }
  std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(server_->port()) + path; }

 private:
  std::unique_ptr<HttpServer> server_;
};

LoadOptions options_for(const std::string& url, int requests) {
  LoadOptions options;
  options.url = url;
  options.prompts = {"one", "two"};
  options.requests = requests;
  options.ignore_eos = false;
  return options;
}

TEST(LoadGenerator, MeasuresAnyEndpoint) {
  OtherEndpoint endpoint;
  for (const char* path : {"", "/", "/v1", "/v1/"}) {
    const auto report = generate_load(options_for(endpoint.url(path), 6));
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->failed, 0) << path << ": " << report->first_error;
    EXPECT_NEAR(report->output_tok_s * report->wall_s, 12, 1e-6) << "pieces count where the endpoint does not";
  }
}

TEST(LoadGenerator, ARefusalIsAFailureThatSaysWhy) {
  OtherEndpoint endpoint;
  LoadOptions options = options_for(endpoint.url(""), 2);
  options.ignore_eos = true;
  const auto report = generate_load(options);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->failed, 2);
  EXPECT_NE(report->first_error.find("HTTP 400"), std::string::npos) << report->first_error;
}

TEST(LoadGenerator, AnOpenLoopSendsWhenRequestsAreDue) {
  OtherEndpoint endpoint;
  LoadOptions options = options_for(endpoint.url(""), 0);
  for (int i = 0; i < 300; ++i) options.arrivals_s.push_back(i < 200 ? 0 : 1e-3 * (400 - i));  // not in order
  const auto report = generate_load(options);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->requests, 300);
  EXPECT_EQ(report->failed, 0) << report->first_error;
  EXPECT_GE(report->wall_s, 0.2);
  EXPECT_GT(report->ttft_ms.p50, 0);
}

TEST(LoadGenerator, PercentilesInterpolate) {
  const Percentiles p = percentiles({4, 1, 3, 2});
  EXPECT_DOUBLE_EQ(p.mean, 2.5);
  EXPECT_DOUBLE_EQ(p.p50, 2.5);
  EXPECT_NEAR(p.p90, 3.7, 1e-12);
}

}  // namespace
}  // namespace callie::serve
