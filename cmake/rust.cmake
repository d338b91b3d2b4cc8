# The library of rust/: chat templates and grammars, built by cargo. One cargo call; the versions stand in Cargo.lock, and
# once the crates are in cargo's cache no network is needed.
set(CALLIE_RUST_MINIMUM 1.87)
# Debian 12's own rustc is too old: its packages rustc-web and cargo-web are not. A newer cargo on PATH does as well.
set(candidates "$ENV{CARGO}" cargo /usr/bin/cargo /usr/share/cargo/bin/cargo)
unset(CALLIE_CARGO)
foreach(candidate IN LISTS candidates)
  if(candidate AND NOT CALLIE_CARGO)
    execute_process(COMMAND ${candidate} --version OUTPUT_VARIABLE version ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed AND version MATCHES "cargo ([0-9.]+)" AND NOT CMAKE_MATCH_1 VERSION_LESS CALLIE_RUST_MINIMUM)
      set(CALLIE_CARGO ${candidate})
    endif()
  endif()
endforeach()
if(NOT CALLIE_CARGO)
  message(FATAL_ERROR "cargo ${CALLIE_RUST_MINIMUM} or newer is needed: apt install rustc-web cargo-web")
endif()

# One build serves every preset, sanitizers included.
set(CALLIE_RUST_TARGET_DIR ${CMAKE_SOURCE_DIR}/build/rust CACHE PATH "Where cargo builds")
set(library ${CALLIE_RUST_TARGET_DIR}/release/libcallie_rust.a)
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/rust/src/*.rs)
add_custom_command(
  OUTPUT ${library}
  DEPENDS ${CMAKE_SOURCE_DIR}/rust/Cargo.toml ${CMAKE_SOURCE_DIR}/rust/Cargo.lock ${sources}
  COMMAND ${CALLIE_CARGO} build --release --locked --quiet --manifest-path ${CMAKE_SOURCE_DIR}/rust/Cargo.toml
          --target-dir ${CALLIE_RUST_TARGET_DIR}
  COMMAND ${CMAKE_COMMAND} -E touch ${library}
  COMMENT "cargo build: templates and grammars" VERBATIM USES_TERMINAL)
add_custom_target(callie_rust_build DEPENDS ${library})
add_library(callie_rust INTERFACE)
add_dependencies(callie_rust callie_rust_build)
target_link_libraries(callie_rust INTERFACE ${library} Threads::Threads ${CMAKE_DL_LIBS} m)
