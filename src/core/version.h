#pragma once

namespace callie {

/// The release, "major.minor.patch"; also the project version in CMakeLists.txt.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace callie
