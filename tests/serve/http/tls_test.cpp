// HTTPS with certificates made here; the client is libcurl.
#include <curl/curl.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>

#include "serve/http/server.h"

namespace callie::serve {
namespace {

struct Certificate {
  std::string cert, key;  // PEM files
};

/// A self-signed certificate for 127.0.0.1, valid for an hour.
Certificate make_certificate(const std::string& name) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> cert(X509_new(), X509_free);
  X509_set_version(cert.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 3600);
  X509_set_pubkey(cert.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(cert.get(), subject);
  X509_EXTENSION* address = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
  X509_add_ext(cert.get(), address, -1);
  X509_EXTENSION_free(address);
  X509_sign(cert.get(), key.get(), EVP_sha256());
  Certificate out{testing::TempDir() + "callie_" + name + ".pem", testing::TempDir() + "callie_" + name + ".key"};
  const std::unique_ptr<FILE, decltype(&fclose)> cert_file(fopen(out.cert.c_str(), "w"), fclose);
  PEM_write_X509(cert_file.get(), cert.get());
  const std::unique_ptr<FILE, decltype(&fclose)> key_file(fopen(out.key.c_str(), "w"), fclose);
  PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return out;
}

size_t append(char* data, size_t size, size_t n, void* out) {
  static_cast<std::string*>(out)->append(data, size * n);
  return size * n;
}

/// The body, or "error N" with curl's code.
std::string fetch(const std::string& url, const std::string& ca, const Certificate* client = nullptr) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  std::string out;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, "hello");
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &out);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 20L);
  if (!ca.empty()) curl_easy_setopt(curl.get(), CURLOPT_CAINFO, ca.c_str());
  if (client) {
    curl_easy_setopt(curl.get(), CURLOPT_SSLCERT, client->cert.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_SSLKEY, client->key.c_str());
  }
  const CURLcode code = curl_easy_perform(curl.get());
  return code == CURLE_OK ? out : "error " + std::to_string(code);
}

std::unique_ptr<HttpServer> start(const HttpOptions& options) {
  auto server = HttpServer::start(options, [](std::shared_ptr<Exchange> exchange) {
    exchange->begin_stream(200, "text/plain");
    exchange->write(exchange->request().body + " ");
    exchange->write(std::string(200000, 'x'));
    exchange->end();
  });
  EXPECT_TRUE(server.ok()) << server.status().message();
  return server.ok() ? std::move(*server) : nullptr;
}

TEST(Tls, OnlyTrustedSidesTalk) {
  const Certificate ours = make_certificate("server"), client = make_certificate("client"), other = make_certificate("other");
  HttpOptions options;
  options.port = 0;
  options.tls_cert = ours.cert;
  options.tls_key = ours.key;
  {
    const auto server = start(options);
    ASSERT_TRUE(server);
    const std::string url = "https://127.0.0.1:" + std::to_string(server->port()) + "/";
    EXPECT_EQ(fetch(url, ours.cert), "hello " + std::string(200000, 'x'));
    EXPECT_EQ(fetch(url, other.cert), "error " + std::to_string(CURLE_PEER_FAILED_VERIFICATION));
    EXPECT_TRUE(fetch("http" + url.substr(5), "").starts_with("error")) << "plain text to a TLS port";
    EXPECT_EQ(fetch(url, ours.cert).size(), 200006u) << "and it goes on";
    EXPECT_TRUE(server->drain(5));
  }
  options.client_ca = client.cert;
  const auto server = start(options);
  ASSERT_TRUE(server);
  const std::string url = "https://127.0.0.1:" + std::to_string(server->port()) + "/";
  EXPECT_EQ(fetch(url, ours.cert, &client).size(), 200006u);
  EXPECT_TRUE(fetch(url, ours.cert, &other).starts_with("error"));
  EXPECT_TRUE(fetch(url, ours.cert).starts_with("error"));
}

TEST(Tls, BadFilesAreNamed) {
  const Certificate ours = make_certificate("server"), other = make_certificate("other");
  const auto error_of = [](const std::string& cert, const std::string& key) {
    HttpOptions options;
    options.port = 0;
    options.tls_cert = cert;
    options.tls_key = key;
    const auto server = HttpServer::start(options, [](const auto&) {});
    return server.ok() ? std::string() : server.status().message();
  };
  EXPECT_EQ(error_of(ours.cert, ours.key), "");
  EXPECT_NE(error_of("/nowhere.pem", ours.key).find("tls-cert: /nowhere.pem"), std::string::npos);
  EXPECT_NE(error_of(ours.cert, "/nowhere.key").find("tls-key: /nowhere.key"), std::string::npos);
  EXPECT_NE(error_of(ours.cert, other.key).find("tls-key"), std::string::npos) << "the key of another certificate";
  EXPECT_NE(error_of(ours.cert, "").find("tls-key"), std::string::npos);
}

}  // namespace
}  // namespace callie::serve
