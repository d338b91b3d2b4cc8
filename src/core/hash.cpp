#include "core/hash.h"

#include <xxhash.h>

namespace callie {
namespace {

XXH64_state_t* state(void* p) { return static_cast<XXH64_state_t*>(p); }

}  // namespace

uint64_t xxh64(std::span<const uint8_t> bytes, uint64_t seed) { return XXH64(bytes.data(), bytes.size(), seed); }

Xxh64Stream::Xxh64Stream(uint64_t seed) : state_(XXH64_createState()) { XXH64_reset(state(state_), seed); }

Xxh64Stream::Xxh64Stream(const Xxh64Stream& other) : state_(XXH64_createState()) { *this = other; }

Xxh64Stream& Xxh64Stream::operator=(const Xxh64Stream& other) {
  XXH64_copyState(state(state_), state(other.state_));
  return *this;
}

Xxh64Stream::~Xxh64Stream() { XXH64_freeState(state(state_)); }

void Xxh64Stream::update(std::span<const uint8_t> bytes) { XXH64_update(state(state_), bytes.data(), bytes.size()); }

uint64_t Xxh64Stream::digest() const { return XXH64_digest(state(state_)); }

}  // namespace callie
